"""The errors of server/start, and what it sets up: each says what is wrong and what to do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from dockercomp.machine import supervisor
from tests.integration.masters import free_port, running_master

CHECKOUT = Path(__file__).resolve().parents[2]


def launch(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`server/start` behind its set-up of packages."""
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DC_HOME": str(home),
        "DC_PORT": str(free_port()),
        **environ,
    }
    return subprocess.run(
        [sys.executable, "-m", "server.launch", *arguments],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def refused(home: Path, *arguments: str, **environ: str) -> str:
    done = launch(home, *arguments, **environ)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr, done.stderr
    assert supervisor.status(home, "server") is None
    return done.stderr


def test_a_port_in_use_names_the_process_that_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refused(tmp_path, DC_PORT=str(taken.getsockname()[1]))
    assert f"process {os.getpid()}" in said and "DC_PORT" in said


def test_a_mongodb_that_does_not_answer(tmp_path: Path) -> None:
    said = refused(tmp_path, DC_MONGO_HOST="127.0.0.1:1", U_USER="a", U_PASS="secret-password")
    assert "does not answer" in said and "DC_MONGO_HOST" in said and "secret-password" not in said


def test_a_wrong_password_and_a_user_without_rights(tmp_path: Path, mongo_uri: str) -> None:
    address = mongo_uri.split("@")[1].split("/", maxsplit=1)[0]
    with MongoClient(mongo_uri) as root:
        root["elsewhere"].command("createUser", "visitor", pwd="right", roles=[])
    try:
        said = refused(tmp_path, DC_MONGO_HOST=address, U_DB="elsewhere", U_USER="visitor", U_PASS="wrong")
        assert "refuses the user or the password" in said and "U_PASS" in said
        said = refused(tmp_path, DC_MONGO_HOST=address, U_DB="elsewhere", U_USER="visitor", U_PASS="right")
        assert "readWrite" in said
    finally:
        with MongoClient(mongo_uri) as root:
            root["elsewhere"].command("dropUser", "visitor")


def test_plain_http_beyond_loopback_needs_the_flag(tmp_path: Path) -> None:
    said = refused(tmp_path, DC_BIND="0.0.0.0")
    assert "plain HTTP" in said and "DC_ALLOW_PLAIN_HTTP=yes" in said


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    assert "DC_PORT=70000" in refused(tmp_path, DC_PORT="70000")
    assert "DC_THREADS=many" in refused(tmp_path, DC_THREADS="many")


def test_once_never_takes_a_masters_data(tmp_path: Path) -> None:
    (tmp_path / "mongo").mkdir()
    (tmp_path / "mongo" / "data").write_text("precious")
    assert "--once would remove" in refused(tmp_path, "--demo", "--once")
    assert (tmp_path / "mongo" / "data").read_text() == "precious"
    assert launch(tmp_path, "--once").returncode == 2


def test_the_embedded_mongod_asks_for_a_password_and_ours_opens_only_our_database(mongo_home: Path) -> None:
    uri = (mongo_home / "secrets" / "mongo.uri").read_text()
    with MongoClient(uri) as ours:
        assert ours["dockercomp"]["x"].count_documents({}) == 0
        with pytest.raises(OperationFailure):
            ours["other"]["x"].insert_one({})
        with pytest.raises(OperationFailure):
            ours.admin.command("shutdown")
    address = uri.split("@")[1].split("/")[0]
    with MongoClient(f"mongodb://{address}/?directConnection=true") as nobody, pytest.raises(OperationFailure):
        nobody["dockercomp"]["x"].find_one()
    assert (mongo_home / "secrets" / "mongo.uri").stat().st_mode & 0o077 == 0


def test_a_users_own_mongodb_is_used_with_u_db_u_user_u_pass(tmp_path: Path, mongo_uri: str) -> None:
    address = mongo_uri.split("@")[1].split("/", maxsplit=1)[0]
    with MongoClient(mongo_uri) as root:
        root["lab"].command("createUser", "dc", pwd="p@ss:/word", roles=[{"role": "readWrite", "db": "lab"}])
        try:
            with running_master(
                tmp_path / "h", DC_MONGO_HOST=address, U_DB="lab", U_USER="dc", U_PASS="p@ss:/word"
            ) as master:
                found = supervisor.status(master.home, "server")
                assert found is not None and set(found.programs) == {"master", "housekeeping"}
            assert root["lab"]["users"].count_documents({}) == 1
        finally:
            root["lab"].command("dropUser", "dc")
            root.drop_database("lab")


def test_another_masters_database_is_refused(tmp_path: Path, mongo_uri: str) -> None:
    environ = {"DC_MONGO_URI": mongo_uri, "DC_MONGO_DB": "shared_by_mistake"}
    try:
        with running_master(tmp_path / "first", **environ):
            pass
        said = refused(tmp_path / "second", **environ)
        assert "belongs to a master with another signing key" in said
    finally:
        with MongoClient(mongo_uri) as root:
            root.drop_database("shared_by_mistake")


def test_a_second_start_and_a_stop(tmp_path: Path) -> None:
    with running_master(tmp_path / "h") as master:
        port = str(master.settings.port)
        again = launch(master.home, DC_PORT=port)
        assert again.returncode == 0 and "already runs" in again.stdout
        status = launch(master.home, "--status", DC_PORT=port)
        assert status.returncode == 0 and "mongod" in status.stdout
        link = launch(master.home, "--login-link", DC_PORT=port).stdout
        assert link.startswith(f"http://127.0.0.1:{port}/login/")
        assert "stopped" in launch(master.home, "--stop", DC_PORT=port).stdout
        assert launch(master.home, "--status", DC_PORT=port).returncode == 1
