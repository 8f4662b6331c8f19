"""`dockercomp-worker run` with an end, as a process with real containers, against a fake master on loopback."""

import contextlib
import os
import signal
import socket
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import docker_host
from dockercomp.protocol import messages as m
from dockercomp.protocol.errors import Unavailable
from dockercomp.protocol.orders import ImagePin
from tests.integration.fake_master import FakeMaster
from tests.integration.masters import free_port
from tests.integration.test_worker_daemon import MIB, Worker, give, master, pin, worker
from worker import status

__all__ = ["master", "pin", "worker"]

_BOUND = 120
"""Seconds after which a worker that does not end fails its test."""


def test_it_goes_after_so_many_chunks_with_all_their_results(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    master.allocation = m.Allocation(version=1, containers=2, cpus=0.5, memory=128 * MIB)
    give(master, pin, "cat", chunks=40)
    process = worker.start("--chunks", "7")
    assert process.wait(_BOUND) == 0
    assert len(master.done) == 7 and master.last.leaving and not master.leased
    assert worker.containers() == []
    found = status.read(worker.home)
    assert found is not None and found.state == "stopped" and "7 chunks are done" in found.sentence


def test_large_results_are_brought_before_it_goes(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "head -c 40000000 /dev/zero", chunks=4)
    process = worker.start("--chunks", "2")
    assert process.wait(_BOUND) == 0
    assert {index: len(master.payload("j1", index)) for _, index in master.done} == {0: 40_000_000, 1: 40_000_000}


def test_a_chunk_that_runs_when_the_time_is_over_goes_back(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=2)
    process = worker.start("--until", "+12s", "--grace", "0.2")
    assert process.wait(_BOUND) == 0
    assert not master.done and not master.leased and len(master.chunks) == 2 and master.returned
    assert "Its time is over" in worker.log() and worker.containers() == []


def test_told_to_stop_it_finishes_what_runs_within_the_grace(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "sleep 2; head -c 30000000 /dev/zero", chunks=9)
    process = worker.start("--until", "+1h", "--grace", "60")
    master.until(lambda: [each.state for each in master.last.containers] == ["running"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(_BOUND) == 0
    assert len(master.done) >= 1 and not master.leased
    assert all(len(master.payload(job, index)) == 30_000_000 for job, index in master.done)


def test_a_second_signal_ends_it_at_once(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=1)
    process = worker.start("--until", "+1h", "--grace", "3600")
    master.until(lambda: [each.state for each in master.last.containers] == ["running"])
    process.send_signal(signal.SIGTERM)
    master.until(lambda: master.last.want == 0)
    process.send_signal(signal.SIGTERM)
    assert process.wait(_BOUND) == 0
    assert not master.done and len(master.chunks) == 1 and worker.containers() == []


def test_without_its_master_it_gives_up_and_says_so(worker: Worker) -> None:
    worker.env |= {"DC_PORT": str(free_port())}
    process = worker.start("--chunks", "1", "--patience", "1")
    assert process.wait(_BOUND) == 75
    found = status.read(worker.home)
    assert found is not None and found.sentence.startswith("Gave up within its time")


def test_a_master_that_goes_away_is_not_waited_for_forever(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=1)
    process = worker.start("--until", "+1h", "--patience", "1")
    master.until(lambda: [each.state for each in master.last.containers] == ["running"])
    master.refuse = Unavailable("on its way down")
    assert process.wait(_BOUND) == 75
    assert "The master has not answered for" in worker.log() and worker.containers() == []


def test_an_engine_that_goes_away_is_not_waited_for_forever(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    address = docker_host.find(worker.home, os.environ).removeprefix("unix://")
    with socketserver.ThreadingUnixStreamServer(str(worker.home / "d"), _Through) as server:
        server.daemon_threads = True
        server.address, server.opened = address, []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        worker.env |= {"DC_DOCKER_HOST": f"unix://{worker.home / 'd'}"}
        give(master, pin, "sleep", "600", chunks=1)
        process = worker.start("--until", "+1h", "--patience", "1")
        master.until(lambda: [each.state for each in master.last.containers] == ["running"])
        server.shutdown()
        server.server_close()
        (worker.home / "d").unlink()
        for each in server.opened:  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
    master.allocation = m.Allocation(version=2, containers=1, cpus=0.25, memory=128 * MIB)
    assert process.wait(_BOUND) == 75
    assert "Docker has not answered for" in worker.log() and not master.leased


class _Through(socketserver.BaseRequestHandler):
    """A way to the engine that can be cut."""

    def handle(self) -> None:
        with socket.socket(socket.AF_UNIX) as far, contextlib.suppress(OSError):
            far.connect(self.server.address)  # type: ignore[attr-defined]
            self.server.opened += [self.request, far]  # type: ignore[attr-defined]
            back = threading.Thread(target=_pump, args=(far, self.request), daemon=True)
            back.start()
            _pump(self.request, far)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def place(worker: Worker) -> Iterator[Path]:
    """Where ephemeral workers put their folders."""
    with tempfile.TemporaryDirectory(prefix="dct-", dir="/tmp") as folder:
        worker.env |= {"TMPDIR": folder}
        yield Path(folder)


def test_an_ephemeral_worker_leaves_nothing(master: FakeMaster, worker: Worker, pin: ImagePin, place: Path) -> None:
    give(master, pin, "cat", chunks=5)
    before = set(worker.home.rglob("*"))
    killed = worker.start("--ephemeral", "--until", "+1h")
    master.until(lambda: len(master.done) == 5)
    killed.kill()
    killed.wait(_BOUND)
    assert len(list(place.iterdir())) == 1
    give(master, pin, "cat", chunks=3, job="j2")
    process = worker.start("--ephemeral", "--chunks", "3")
    assert process.wait(_BOUND) == 0
    assert {index for job, index in master.done if job == "j2"} == {0, 1, 2}
    assert list(place.iterdir()) == [], "its own and that of the one that was killed"
    assert set(worker.home.rglob("*")) == before
