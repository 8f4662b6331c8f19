"""Bringing a DC_HOME's master up and down: MongoDB, first admin, gunicorn and housekeeping under the supervisor."""

import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from dockercomp.machine import supervisor
from dockercomp.machine.home import write_private
from dockercomp.machine.programs import Program
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.people import ApiTokenRequest
from dockercomp.protocol.signing import fingerprint, public_key
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import Health
from server import signing_keys, tls, warnings
from server.audit import SERVER, Audit
from server.people import People
from server.rights import Rights
from server.settings import Settings, read, read_secrets
from server.store import Store, mongod, schema
from server.store.connection import connect
from server.tokens import Tokens
from server.wiring import mongo_uri, open_store

_ROOT = Path(__file__).resolve().parents[1]
_READY_S = 60.0
_STARTED = "settings.json"
_TOKEN_VALID_DAYS = 365.0

Say = Callable[[str], None]


class InstanceError(RuntimeError):
    """The master cannot be brought up; the message says why and what to do."""


def start(settings: Settings, say: Say, *, new_key: bool = False) -> None:
    """Bring up MongoDB (the embedded one, unless another is configured) and the master; returns when it is ready. With
    `new_key` the master signs with another key from now on, which the old one has signed."""
    _check_port(settings)
    settings.home.mkdir(parents=True, exist_ok=True)
    settings = with_certificate(settings)
    write_private(settings.home / "run" / _STARTED, json.dumps(settings.environment()).encode())
    programs = []
    if not settings.mongo_uri:
        programs = [mongod.program(settings.home)]
    supervisor.start(settings.home, "server", programs)
    try:
        if programs:
            mongod.prepare(settings.home, settings.database)
        with _open(settings) as store:
            _prepare(settings, store)
            if new_key:
                key = signing_keys.rotate(settings.home, store)
                Audit(store).record(SERVER, "signing_key", fingerprint(key))
                say(f"signing key  {key}\n             (new, and signed by the one before it)")
        supervisor.reload(settings.home, "server", [*programs, *_master(settings)])
        _wait_ready(settings)
    except BaseException:
        supervisor.stop(settings.home, "server")
        raise
    say(f"the master is ready at {settings.url}")
    if settings.tls_pin:
        say(f"certificate  {settings.tls_pin}\n             (DC_TLS_PIN: who has it trusts this one, and no other)")
    for warning in warnings.of_settings(settings):
        say(f"WARNING: {warning}")


def stop(settings: Settings) -> bool:
    """Stop gracefully: requests under way are answered, mongod last. True where it ran."""
    running = supervisor.status(settings.home, "server") is not None
    if not supervisor.stop(settings.home, "server", timeout=90):
        raise InstanceError(f"the master did not stop within 90 s; see {settings.home / 'log'}")
    return running


def login_link(settings: Settings) -> str:
    """A one-time login link for an admin; also how one who lost the password, or was throttled, gets in. Where there is
    no admin (any more) there is one afterwards."""
    settings = as_started(settings)
    with open_store(settings) as store:
        people = People(store)
        admin = people.an_admin()
        _own_token(settings, store, admin)
        Audit(store).record(SERVER, "login_link", admin)
        return people.login_link(admin, settings.url)


def as_started(settings: Settings) -> Settings:
    """The settings that the master which runs here was started with, options included; `settings` where none runs."""
    noted = settings.home / "run" / _STARTED
    if supervisor.status(settings.home, "server") is None or not noted.exists():
        return settings
    return read(json.loads(noted.read_text()), Path("/nonexistent"))


def _master(settings: Settings) -> list[Program]:
    home = settings.home
    metrics = home / "run" / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    env = {**settings.environment(), "PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    gunicorn = (
        *(sys.executable, "-m", "gunicorn", "server.app:create_app()"),
        *("--bind", settings.listens, "--worker-class", "server.slow.Worker"),
        *("--workers", str(settings.processes), "--threads", str(settings.threads)),
        *("--worker-connections", "1000", "--forwarded-allow-ips", ""),  # ProxyFix alone reads X-Forwarded headers
        *("--timeout", "120", "--graceful-timeout", "10", "--keep-alive", "75", "--backlog", "512"),
        *("--worker-tmp-dir", str(home / "run"), "--no-control-socket"),
        *_certificate(settings),
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


def _certificate(settings: Settings) -> tuple[str, ...]:
    if settings.tls_cert is None:
        return ()
    return ("--certfile", str(settings.tls_cert), "--keyfile", str(settings.tls_key))


def with_certificate(settings: Settings) -> Settings:
    """The settings with certificate, key and pin in place; a self-signed certificate is made at the first start.
    Raises CertificateError."""
    pin = settings.tls_pin
    if settings.tls_self_signed:
        names = (settings.host, urlsplit(settings.public_url).hostname or "", "localhost", "127.0.0.1", "::1")
        certificate, key = tls.self_signed(settings.home / "secrets" / "tls", names)
        settings = replace(settings, tls_cert=certificate, tls_key=key)
        pin = pin or tls.fingerprint(certificate)
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls.check(settings.tls_cert, settings.tls_key)
    return replace(settings, tls_pin=pin)


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
    signing_keys.finish(settings.home, store)
    own = read_secrets(settings.home)
    mine = {"public_key": public_key(own.signing_seed), "blob_store": own.blob_store}
    stored = store.duties.identity(mine)
    for part, name in (("public_key", "signing key"), ("blob_store", "blob directory")):
        if stored[part] != mine[part]:
            raise InstanceError(
                f"this MongoDB belongs to a master with another {name} than that in DC_HOME={settings.home}; start with"
                " that DC_HOME (or a copy of its secrets/ and blobs/), or with another database (DC_MONGO_DB)"
            )
    _own_token(settings, store, People(store).an_admin())


def _own_token(settings: Settings, store: Store, admin: str) -> None:
    """An admin's token for this machine's command line, where the one in DC_HOME is not good (any more)."""
    path = settings.home / "credentials.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    token = known.get("token", "")
    same = known.get("url") == settings.url and known.get("tls_pin", "") == settings.tls_pin
    if same and store.credentials.of_person("api", token, datetime.now(timezone.utc)):
        return
    request = ApiTokenRequest(label="the master's machine", scope="admin", valid_days=_TOKEN_VALID_DAYS)
    made = Tokens(store).make(Rights(admin, "admin"), request)
    Audit(store).record(SERVER, "token_create", made.view.id, detail=f"of {admin}, for {request.label}")
    write_private(path, json.dumps({"url": settings.url, "token": made.token, "tls_pin": settings.tls_pin}).encode())


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
    pin = tls.fingerprint(settings.tls_cert) if settings.tls_cert else ""
    connection = Connection(settings.asked_at, retries=0, timeout=5, pin=pin)
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
        people = People(store)
        if not people.set_password(user, password):
            raise InstanceError(f"there is no person {user}; `dockercomp people ls` lists them")
        Audit(store).record(SERVER, "password", user)
        _own_token(settings, store, people.an_admin())  # it ended with the password, where it was this person's
    return password
