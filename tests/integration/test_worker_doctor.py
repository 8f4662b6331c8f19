"""`dockercomp-worker doctor` and worker/test_server_conn, which look before work is sent."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from dockercomp.protocol import messages as m
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import TOKEN, FakeMaster
from tests.integration.test_worker_daemon import Worker, docker, master, pin, worker  # noqa: F401  (fixtures)
from worker import identity
from worker.limits import Wishes, ceiling

PROGRAM = Path(__file__).resolve().parents[2] / "worker/test_server_conn"


def doctor(worker: Worker) -> tuple[int, dict[str, dict[str, str]]]:  # noqa: F811
    called = worker.call("doctor", "--json")
    return called.returncode, {check["name"]: check for check in json.loads(called.stdout)}


def enrol(worker: Worker, master: FakeMaster) -> None:  # noqa: F811
    machine = m.Machine(hostname="h", cpus=1, memory=2**30, disk_free=0, platform="linux/amd64")
    identity.ensure(worker.home, TOKEN, machine, ceiling(Wishes(), 1, 2**30), master.enrol)


def test_a_sound_machine_passes(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:  # noqa: F811
    enrol(worker, master)
    code, checks = doctor(worker)
    assert {check["result"] for check in checks.values()} == {"ok"} and code == 0
    assert "read back from cgroup" in checks["limits"]["finding"]
    assert worker.containers() == []
    assert worker.call("doctor").stdout.startswith("ok    engine")


def test_credentials_that_were_withdrawn_are_found(master: FakeMaster, worker: Worker) -> None:  # noqa: F811
    enrol(worker, master)
    master.secret = "another"
    code, checks = doctor(worker)
    assert code == 1 and checks["credentials"]["result"] == "FAIL" and "DC_TOKEN" in checks["credentials"]["todo"]


def test_no_engine_is_told_from_one_that_does_not_run(worker: Worker, tmp_path: Path) -> None:  # noqa: F811
    worker.env |= {"DC_DOCKER_HOST": f"unix://{tmp_path}/none.sock", "DC_PORT": "1"}
    code, checks = doctor(worker)
    assert code == 1 and checks["engine"]["result"] == "FAIL" and checks["engine"]["todo"]
    assert checks["master"]["result"] == "FAIL"


# --- test_server_conn ---


def conn(tmp_path: Path, **environ: str) -> tuple[int, str]:
    env = {"PATH": os.environ["PATH"], "DC_HOME": str(tmp_path), **environ}
    called = subprocess.run(
        [sys.executable, "-S", "-E", str(PROGRAM)], env=env, capture_output=True, text=True, timeout=10, check=False
    )
    return called.returncode, called.stdout


def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield str(server.server_address[1])
    server.shutdown()
    server.server_close()


def test_up(master: FakeMaster, tmp_path: Path) -> None:  # noqa: F811
    assert conn(tmp_path, DC_PORT=str(master.port)) == (0, "UP\n")
    (tmp_path / "configuration").write_text(f"# the master\nDC_HOST=localhost\nDC_PORT={master.port}  # its port\n")
    assert conn(tmp_path) == (0, "UP\n")
    assert conn(tmp_path, DC_PORT="1")[0] == 1, "the environment wins"


def test_no_proxy_of_the_environment_stands_before_loopback(master: FakeMaster, tmp_path: Path) -> None:  # noqa: F811
    assert conn(tmp_path, DC_PORT=str(master.port), http_proxy="http://127.0.0.1:1", no_proxy="")[0] == 0


def test_refused_and_unknown(tmp_path: Path) -> None:
    code, said = conn(tmp_path, DC_PORT="1")
    assert code == 1 and said.startswith("DOWN: 127.0.0.1 refuses connections on port 1")
    code, said = conn(tmp_path, DC_HOST="no-such-host.invalid")
    assert code == 1 and said == "DOWN: the name no-such-host.invalid is not known; check DC_HOST\n"


def test_a_silent_host_is_a_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, said = conn(tmp_path, DC_PORT=str(silent.getsockname()[1]))
    assert code == 1 and "no answer from 127.0.0.1" in said and "in time" in said


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b"<html>welcome</html>", "it is not a dockerComp master (HTTP 200)"),
        (404, b"no", "it is not a dockerComp master (HTTP 404)"),
        (503, b'{"code": "unavailable", "detail": "no primary"}', "its database is unavailable: no primary"),
        (503, b'{"status": "unavailable", "detail": "no primary"}', "its database is unavailable: no primary"),
    ],
)
def test_what_answers_wrongly(status: int, body: bytes, said: str, tmp_path: Path) -> None:
    server = answering(status, body)
    code, out = conn(tmp_path, DC_PORT=next(server))
    next(server, None)
    assert code == 1 and out.startswith("DOWN: ") and said in out
