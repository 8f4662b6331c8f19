"""Bringing a DC_HOME's master up and down: MongoDB, first admin, gunicorn and housekeeping under the supervisor."""

import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psutil

from dockercomp.machine import supervisor
from dockercomp.machine.home import write_private
from dockercomp.machine.programs import Program
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.signing import public_key
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Health
from server.people import People
from server.settings import Settings, read_secrets
from server.store import Store, mongod, schema
from server.store.connection import connect
from server.wiring import mongo_uri, open_store

_ROOT = Path(__file__).resolve().parents[1]
_READY_S = 60.0
_FIRST_ADMIN = "admin"
_TOKEN_VALID = timedelta(days=365)

Say = Callable[[str], None]


class InstanceError(RuntimeError):
    """The master cannot be brought up; the message says why and what to do."""


def start(settings: Settings, say: Say) -> None:
    """Bring up MongoDB (the embedded one, unless another is configured) and the master; returns when it is ready."""
    _check_port(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    programs = []
    if not settings.mongo_uri:
        programs = [mongod.program(settings.home)]
    supervisor.start(settings.home, "server", programs)
    try:
        if programs:
            mongod.prepare(settings.home, settings.database)
        with _open(settings) as store:
            _prepare(settings, store)
        supervisor.reload(settings.home, "server", [*programs, *_master(settings)])
        _wait_ready(settings)
    except BaseException:
        supervisor.stop(settings.home, "server")
        raise
    say(f"the master is ready at {settings.url}")


def stop(settings: Settings) -> bool:
    """Stop gracefully: requests under way are answered, mongod last. True where it ran."""
    running = supervisor.status(settings.home, "server") is not None
    if not supervisor.stop(settings.home, "server", timeout=90):
        raise InstanceError(f"the master did not stop within 90 s; see {settings.home / 'log'}")
    return running


def login_link(settings: Settings, user: str = _FIRST_ADMIN) -> str:
    """A one-time login link; also how an admin who lost the password gets in."""
    with open_store(settings) as store:
        return People(store).login_link(user, settings.url)


def _master(settings: Settings) -> list[Program]:
    home = settings.home
    metrics = home / "run" / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    env = {
        "DC_HOME": str(home),
        "DC_HOST": settings.host,
        "DC_PORT": str(settings.port),
        "DC_BIND": settings.bind,
        "DC_SCHEME": settings.scheme,
        "DC_PUBLIC_URL": settings.public_url,
        "DC_MONGO_URI": settings.mongo_uri,
        "DC_MONGO_DB": settings.database,
        "DC_WORKERS": str(settings.processes),
        "DC_THREADS": str(settings.threads),
        "DC_ALLOW_PLAIN_HTTP": "yes",
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    gunicorn = (
        *(sys.executable, "-m", "gunicorn", "server.app:create_app()"),
        *("--bind", f"{settings.bind}:{settings.port}", "--worker-class", "gthread"),
        *("--workers", str(settings.processes), "--threads", str(settings.threads)),
        *("--timeout", "120", "--graceful-timeout", "10", "--keep-alive", "75", "--backlog", "512"),
        *("--worker-tmp-dir", str(home / "run"), "--no-control-socket"),
    )
    log = str(home / "log" / "master.log")
    return [
        Program(name="master", argv=gunicorn, log=log, env=env, cwd=str(_ROOT)),
        Program(
            name="housekeeping",
            argv=(sys.executable, "-m", "server.housekeeping"),
            log=str(home / "log" / "housekeeping.log"),
            env=env,
            cwd=str(_ROOT),
        ),
    ]


def _open(settings: Settings) -> Store:
    """The store, contacted and with its indexes. Raises StoreRefused saying what is wrong with MongoDB."""
    uri = mongo_uri(settings)
    database = connect(uri, settings.database, timeout_s=5)
    try:
        schema.apply(database, uri)
    finally:
        database.client.close()
    return open_store(settings)


def _prepare(settings: Settings, store: Store) -> None:
    """Indexes, the installation's identity, the first admin and the credentials of this machine's command line."""
    own = read_secrets(settings.home)
    mine = {"public_key": public_key(own.signing_seed), "blob_store": own.blob_store}
    stored = store.duties.identity(mine)
    for part, name in (("public_key", "signing key"), ("blob_store", "blob directory")):
        if stored[part] != mine[part]:
            raise InstanceError(
                f"this MongoDB belongs to a master with another {name} than that in DC_HOME={settings.home}; start with"
                " that DC_HOME (or a copy of its secrets/ and blobs/), or with another database (DC_MONGO_DB)"
            )
    people = People(store)
    people.add(_FIRST_ADMIN, "admin", secrets.token_urlsafe(32))
    credentials = settings.home / "credentials.json"
    known = json.loads(credentials.read_text()) if credentials.exists() else {}
    if known.get("url") != settings.url or not known.get("token"):
        token = people.api_token(_FIRST_ADMIN, "admin", _TOKEN_VALID)
        write_private(credentials, json.dumps({"url": settings.url, "token": token}).encode())


def _check_port(settings: Settings) -> None:
    """Raises InstanceError naming the process that has the port."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == settings.port:
            raise InstanceError(
                f"port {settings.port} is in use by {_process_name(connection.pid)}: stop it, or set DC_PORT to another"
                " port (in `configuration` or the environment)"
            )


def _process_name(pid: int | None) -> str:
    if pid is None:
        return "another user's process"
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"process {pid}"


def _wait_ready(settings: Settings) -> None:
    deadline = time.monotonic() + _READY_S
    bind = "127.0.0.1" if settings.bind in ("0.0.0.0", "::") else settings.bind  # noqa: S104  (compared, not bound)
    connection = Connection(f"http://{bind}:{settings.port}", retries=0, timeout=5)
    while True:
        try:
            connection.call("readyz", Health)
            return
        except DockercompError as error:
            if time.monotonic() > deadline:
                tail = "\n".join((settings.home / "log" / "master.log").read_text().splitlines()[-15:])
                raise InstanceError(f"the master is not ready after {_READY_S:.0f} s: {error}\n{tail}") from error
            time.sleep(0.1)


def reset_password(settings: Settings, user: str) -> str:
    """Give a user a new random password and return it. Raises InstanceError where there is no such user."""
    password = secrets.token_urlsafe(12)
    with open_store(settings) as store:
        if not People(store).set_password(user, password):
            raise InstanceError(f"there is no user {user}")
    return password
