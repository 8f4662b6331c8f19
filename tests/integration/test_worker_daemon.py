"""The worker daemon as a process, with real containers, against a fake master on loopback."""

import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from dockercomp.machine.home import instance_label
from dockercomp.protocol import errors
from dockercomp.protocol import messages as m
from dockercomp.protocol.keychain import link
from dockercomp.protocol.orders import ORDER_VERSION, ImagePin, JobOrder, ProgramSpec, ResourcesSpec, StageOrder
from tests.integration.fake_master import SEED, TOKEN, Chunk, FakeMaster
from tests.ranges import serving
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
AWAY = "/"
"""Where workers are started: in the clone its own `configuration` would be read, and edited by `configure`."""
IMAGE = "dockercomp/python"
MIB = 2**20


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["/usr/bin/docker", *arguments], check=True, capture_output=True, text=True, timeout=120
    ).stdout.strip()


@pytest.fixture(scope="session")
def pin() -> ImagePin:
    """The image that ships with dockerComp, built if it is not here."""
    if not docker("images", "-q", IMAGE):
        subprocess.run([str(ROOT / "docker/python/build")], check=True, timeout=280)
    facts = docker("image", "inspect", "-f", "{{.Id}} {{.Os}}/{{.Architecture}}", IMAGE).split()
    return ImagePin(name=IMAGE, config_digest=facts[0], platform=facts[1])


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    found = FakeMaster().start()
    yield found
    found.stop()


class Worker:
    """A daemon with a DC_HOME of its own."""

    def __init__(self, port: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="dct-", dir="/tmp"))
        (self.home / "configuration").write_text("DC_CPUS=2\n")  # else other tests' workers would have a share
        self.env = {
            **os.environ,
            "DC_HOME": str(self.home),
            "DC_PORT": str(port),
            "DC_TOKEN": TOKEN,
            "PYTHONPATH": str(ROOT),
        }
        self.label = f"label=dockercomp.instance={instance_label(self.home)}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "worker.cli", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self.command("run", *arguments), env=self.env, cwd=AWAY, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.env,
            cwd=AWAY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def containers(self) -> list[str]:
        return docker("ps", "-aq", "--no-trunc", "--filter", self.label).split()

    def log(self) -> str:
        return (self.home / "log/worker.log").read_text()

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                process.wait(60)
        for container in self.containers():
            docker("rm", "-f", container)
        shutil.rmtree(self.home)


@pytest.fixture
def worker(master: FakeMaster) -> Iterator[Worker]:
    found = Worker(master.port)
    yield found
    found.end()


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def order(pin: ImagePin, *command: str, job: str = "j1", program: bytes = b"") -> JobOrder:
    return JobOrder(
        version=ORDER_VERSION,
        job=job,
        name="test",
        image=pin,
        program=hashlib.sha256(program).hexdigest() if program else "",
        split="lines",
        stages=[StageOrder(program=ProgramSpec(command=list(command)))],
        resources=ResourcesSpec(memory=32 * MIB, disk=16 * MIB, time_limit=600),
    )


def give(master: FakeMaster, pin: ImagePin, *command: str, chunks: int = 1, **options: object) -> None:
    """One job of so many chunks, each with its index as input."""
    master.add_job(order(pin, *command, **options))  # type: ignore[arg-type]
    job = str(options.get("job", "j1"))
    master.chunks += [Chunk(job, index, b"%d\n" % index) for index in range(chunks)]


def test_chunks_of_every_kind_come_back_right(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    program = tar(copy__sh=b"#!/bin/sh\nexec cat\n")
    master.programs["j1"] = program
    give(master, pin, "sh", "copy.sh", chunks=30, program=program)
    large, small = os.urandom(20 * MIB), os.urandom(1000)
    master.chunks += [
        Chunk("j1", 30, large, inline=False),
        Chunk("j1", 31, small, inline=False),
        Chunk("j1", 32, small, inline=False, pieces=[m.Piece(name="a b", size=400), m.Piece(name="c", size=600)]),
        Chunk("j1", 33, b""),
    ]
    process = worker.start()
    master.until(lambda: len(master.done) == 34)
    assert [master.payload("j1", index) for index in range(30)] == [b"%d\n" % index for index in range(30)]
    assert master.payload("j1", 30) == large
    assert [master.payload("j1", index) for index in (31, 32, 33)] == [small, small, b""]
    told = master.done["j1", 30]
    assert told.input_digest == hashlib.sha256(large).hexdigest()
    assert (told.cpus_limit, told.memory_limit) == (0.5, 144 * MIB), "as read back, for the result's receipt"
    assert not master.failures and not master.returned
    master.until(lambda: bool(master.last.applied and master.last.applied.verified))
    (report,) = master.last.containers
    assert (report.cpus_limit, report.memory_limit) == (0.5, 144 * MIB) and report.read_from.startswith("cgroup")
    wait_until(lambda: report.name in worker.call("limits").stdout)
    assert worker.call("status").returncode == 0
    assert not list((worker.home / "worker/spool").iterdir())
    assert int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[0]) < 80 * 1024
    assert worker.call("stop").returncode == 0
    assert process.wait(10) == 0 and master.last.leaving and worker.containers() == []


def test_an_allocation_is_followed_by_running_containers(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=8)
    worker.env |= {"DC_CONTAINERS": "3", "DC_CPUS": "1.5", "DC_MEMORY": "1GiB"}
    worker.start("--grace", "0")
    master.until(lambda: [c.state for c in master.last.containers] == ["running"])
    (first,) = worker.containers()

    def applied(version: int, limits: list[tuple[float, int]]) -> Callable[[], bool]:
        def so() -> bool:
            now = master.last.applied
            read = [(c.cpus_limit, c.memory_limit) for c in master.last.containers]
            return now is not None and now.version == version and now.verified and read == limits

        return so

    master.allocation = m.Allocation(version=2, containers=2, cpus=0.75, memory=200 * MIB)
    master.until(applied(2, [(0.75, 216 * MIB)] * 2))
    assert first in worker.containers(), "the container was resized, not replaced"
    master.allocation = m.Allocation(version=3, containers=9, cpus=1.5, memory=100 * MIB)
    master.until(applied(3, [(0.5, 116 * MIB)] * 3))
    assert master.last.applied and master.last.applied.note.startswith("The volunteer's ceiling allows 3 of 9")


def test_the_volunteers_edit_is_followed_and_a_bad_one_is_said(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    give(master, pin, "sleep", "600", chunks=8)
    file = worker.home / "configuration"
    file.write_text("DC_CONTAINERS=1\nDC_CPUS=0.5\nDC_MEMORY=512MiB\n")
    worker.start("--grace", "0")
    master.until(lambda: [c.cpus_limit for c in master.last.containers] == [0.5])
    file.write_text("DC_CONTAINERS=1\nDC_CPUS=0.25\nDC_MEMORY=512MiB\n")
    master.until(lambda: [c.cpus_limit for c in master.last.containers] == [0.25])
    assert any(sync.ceiling and sync.ceiling.cpus == 0.25 for sync in master.syncs)
    file.write_text("DC_CONTAINERS=lots\n")
    master.until(lambda: "line 1" in master.last.status or "DC_CONTAINERS=lots" in master.last.status)
    assert [c.cpus_limit for c in master.last.containers] == [0.25]


def test_pausing_freezes_and_gives_back_what_waits(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sleep", "600", chunks=3)
    worker.start("--grace", "0")
    master.until(lambda: [c.state for c in master.last.containers] == ["running"] and bool(master.last.held))
    assert worker.call("pause", "1h").returncode == 0
    master.until(lambda: [c.state for c in master.last.containers] == ["paused"] and bool(master.returned))
    assert "Paused by the volunteer" in master.last.status
    (container,) = worker.containers()
    assert docker("inspect", "-f", "{{.State.Paused}}", container) == "true"
    assert worker.call("resume").returncode == 0
    master.until(lambda: [c.state for c in master.last.containers] == ["running"])


def test_a_lost_answer_is_asked_for_again_with_the_same_words(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    give(master, pin, "cat", chunks=5)
    master.lose_answers = 2
    worker.start()
    master.until(lambda: len(master.done) == 5)
    assert master.bodies[0] == master.bodies[1] == master.bodies[2]
    assert [sync.seq for sync in master.syncs] == list(range(1, len(master.syncs) + 1))


def test_a_master_that_restarts_finds_every_result(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "cat; sleep 0.05", chunks=60)
    worker.start()
    master.until(lambda: len(master.done) >= 5)
    master.stop()
    master.start()
    master.until(lambda: len(master.done) == 60)
    assert [master.payload("j1", index) for index in range(60)] == [b"%d\n" % index for index in range(60)]
    assert not master.failures


def test_an_unacknowledged_result_is_sent_again(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    heard: dict[str, int] = {}

    def forgetful(report: m.ResultReport) -> m.Ack | None:
        heard[report.lease] = heard.get(report.lease, 0) + 1
        return None if heard[report.lease] < 3 else m.Ack(lease=report.lease, status="stored")

    master.ack = forgetful
    give(master, pin, "cat", chunks=3)
    worker.start()
    master.until(lambda: len(master.done) == 3)
    assert set(heard.values()) == {3}


def test_a_killed_container_is_nobodys_fault(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "cat; sleep 600", chunks=1)
    worker.start("--grace", "0")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    (container,) = worker.containers()
    docker("kill", container)
    master.until(lambda: len(master.returned) == 1)
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    assert container not in worker.containers() and not master.failures


def test_a_killed_worker_comes_back_as_the_same_client(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "cat; sleep 600", chunks=1)
    process = worker.start()
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    (orphan,) = worker.containers()
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    before = master.last.session
    worker.start("--grace", "0")
    master.until(lambda: master.last.session != before)
    assert master.last.held == [] and len(master.enrolments) == 1
    assert orphan not in worker.containers()


def test_stopping_returns_what_does_not_end_in_time(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "cat; sleep 600", chunks=3)
    process = worker.start("--grace", "0.5")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    process.terminate()
    assert process.wait(60) == 0
    assert master.last.leaving and not master.leased and worker.containers() == []
    assert not master.failures and not master.done


def test_stopping_lets_a_short_chunk_end(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "sleep 2; cat", chunks=1)
    process = worker.start("--grace", "30")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    process.terminate()
    assert process.wait(60) == 0
    assert master.payload("j1", 0) == b"0\n" and not master.leased


def test_a_cancelled_lease_makes_room(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "sh", "-c", "read n; [ $n != 0 ] || sleep 600; echo $n", chunks=2)
    worker.start("--grace", "0")
    master.until(lambda: [c.chunk for c in master.last.containers] == ["map 0"])
    master.cancel |= {lease for lease, chunk in master.leased.items() if chunk.index == 0}
    master.until(lambda: ("j1", 1) in master.done)
    assert not master.failures and ("j1", 0) not in master.done


def test_a_closed_job_leaves_nothing_running(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    program = tar(copy__sh=b"cat\n")
    master.programs["j1"] = program
    give(master, pin, "sh", "copy.sh", chunks=1, program=program)
    worker.start()
    master.until(lambda: len(master.done) == 1 and bool(master.last.containers))
    master.closed.add("j1")
    master.until(lambda: not master.last.containers and not master.last.known_jobs)
    assert worker.containers() == [] and not list((worker.home / "worker/programs").iterdir())


def test_unsigned_and_unpinned_jobs_are_refused(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    master.add_job(order(pin, "cat", job="unsigned"), seed=bytes(32))
    master.add_job(order(msgspec.structs.replace(pin, config_digest="latest"), "cat", job="unpinned"))
    master.chunks = [Chunk("unsigned", 0, b""), Chunk("unpinned", 0, b"")]
    worker.start()
    master.until(lambda: len(set(master.returned)) >= 2 and len(master.last.refused_jobs) == 2)
    assert not master.failures
    reasons = {refused.job: refused.reason for refused in master.last.refused_jobs}
    assert "not signed" in reasons["unsigned"] and "not pinned" in reasons["unpinned"]
    assert worker.containers() == []


def test_a_key_that_the_masters_old_one_signed_is_taken_also_after_a_restart(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    new, thief = b"n" * 32, b"x" * 32
    master.links = [link(SEED, new, "t"), link(thief, thief, "t")]
    master.add_job(order(pin, "cat", job="j1"), seed=new)
    master.chunks = [Chunk("j1", 0, b"1")]
    process = worker.start()
    master.until(lambda: len(master.done) == 1)
    process.terminate()
    assert process.wait(60) == 0
    master.links = []
    master.add_job(order(pin, "cat", job="j2"), seed=new)
    master.add_job(order(pin, "cat", job="stolen"), seed=thief)
    master.chunks = [Chunk("j2", 0, b"2"), Chunk("stolen", 0, b"3")]
    worker.start()
    master.until(lambda: len(master.done) == 2 and len(master.last.refused_jobs) == 1)
    assert {job for job, _ in master.done} == {"j1", "j2"}


def test_a_full_disk_while_an_order_comes_keeps_no_result_from_the_master(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    """The order comes in the answer that asks for the payload of another job's result."""
    new = b"n" * 32
    master.links = [link(SEED, new, "t")]
    master.add_job(order(pin, "cat", job="j2"), seed=new)
    chunks = [Chunk("j2", 0, b"2")]

    def take(report: m.ResultReport) -> m.Ack:
        if report.size > m.INLINE_LIMIT and chunks:
            (worker.home / "worker/master_keys.json").mkdir()  # so that nothing can be written there
            master.chunks.append(chunks.pop())
        return m.Ack(lease=report.lease, status="stored")

    master.ack = take
    give(master, pin, "head", "-c", "300000", "/dev/zero", chunks=1)
    worker.start()
    master.until(lambda: ("j1", 0) in master.done and bool(master.last.refused_jobs))
    (refused,) = master.last.refused_jobs
    assert refused.job == "j2" and "could not be kept on this machine's disk" in refused.reason
    assert len(master.returned) == 1 and not master.failures


def test_an_image_that_cannot_be_had_is_said_once(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, msgspec.structs.replace(pin, config_digest="sha256:" + "0" * 64), "cat", chunks=2)
    worker.start()
    master.until(lambda: len(master.failures) == 1 and bool(master.last.refused_jobs))
    assert master.failures[0].failure and master.failures[0].failure.reason == "image"


def test_a_wrong_token_ends_with_its_exit_code(master: FakeMaster, worker: Worker) -> None:
    worker.env["DC_TOKEN"] = "wrong"
    assert worker.start().wait(60) == 78
    assert "does not accept the enrolment token" in worker.log()
    assert "does not accept" in worker.call("status").stdout


@pytest.mark.parametrize(
    ("error", "code"),
    [(errors.Unauthorized("retired"), 77), (errors.StaleSync("old"), 77), (errors.ProtocolUnsupported("v2"), 76)],
)
def test_a_master_that_will_not_have_it_ends_it(
    master: FakeMaster, worker: Worker, error: errors.DockercompError, code: int
) -> None:
    master.refuse = error
    assert worker.start().wait(60) == code
    assert str(error) in worker.log()


def test_a_worker_that_was_retired_for_its_silence_comes_back_by_its_token(master: FakeMaster, worker: Worker) -> None:
    process = worker.start()
    master.until(lambda: bool(master.syncs))
    with master.changed:
        master.secret = "that nobody has yet"
    before = len(master.syncs)
    master.until(lambda: len(master.syncs) > before + 1)
    first, again = master.enrolments
    assert (again.request, again.token) == (first.request, first.token)
    process.terminate()
    assert process.wait(60) == 0
    before = len(master.syncs)
    worker.start()
    master.until(lambda: len(master.syncs) > before)
    assert len(master.enrolments) == 2


def test_a_token_that_was_revoked_brings_nobody_back(master: FakeMaster, worker: Worker) -> None:
    process = worker.start()
    master.until(lambda: bool(master.syncs))
    with master.changed:
        master.secret, master.token = "that nobody has yet", "another"
    assert process.wait(60) == 77
    assert "this enrolment token is not valid" in worker.log() and len(master.enrolments) == 2


def test_two_daemons_cannot_share_a_home(master: FakeMaster, worker: Worker) -> None:
    worker.start()
    master.until(lambda: bool(master.syncs))
    second = worker.call("run")
    assert second.returncode == 1 and "already runs with DC_HOME" in second.stderr


def test_plain_http_beyond_loopback_is_refused(worker: Worker) -> None:
    worker.env["DC_HOST"] = "192.0.2.1"
    refused = worker.call("run")
    assert refused.returncode == 78 and "plain HTTP" in refused.stderr


def test_a_container_killed_while_idle_is_seen_and_replaced(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "cat", chunks=1)
    worker.start()
    master.until(lambda: len(master.done) == 1 and bool(master.last.applied and master.last.applied.verified))
    (container,) = worker.containers()
    docker("kill", container)
    master.until(lambda: not any(c.id == container and c.state != "dead" for c in master.last.containers))
    master.chunks.append(Chunk("j1", 1, b"1\n"))
    master.until(lambda: ("j1", 1) in master.done)
    assert not master.returned and container not in worker.containers()


def test_a_worker_reads_urls_itself_as_far_as_its_volunteer_lets_it(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    with serving() as web:
        web.files["numbers"] = b"one\ntwo\nthree\n"

        def span(start: int, stop: int, size: int = 14) -> list[m.Fetch]:
            return [m.Fetch(url=f"{web.url}/numbers", size=size, start=start, stop=stop, lines=True)]

        give(master, pin, "cat")
        master.chunks = [Chunk("j1", 0, b"", fetch=span(0, 5)), Chunk("j1", 1, b"", fetch=span(5, 14))]
        worker.env["DC_FETCH"] = "any"
        process = worker.start()
        master.until(lambda: len(master.done) == 2)
        assert (master.payload("j1", 0), master.payload("j1", 1)) == (b"one\ntwo\n", b"three\n")
        master.chunks = [Chunk("j1", 2, b"", fetch=span(0, 5, size=13))]
        master.until(lambda: len(master.failures) == 1)
        process.terminate()
        process.wait(60)
        del worker.env["DC_FETCH"]
        worker.start()
        master.chunks = [Chunk("j1", 3, b"", fetch=span(0, 5))]
        master.until(lambda: len(master.failures) == 2)
        worker.call("stop")
        worker.env["DC_FETCH"] = "none"
        worker.start()
        master.chunks = [Chunk("j1", 4, b"", fetch=span(0, 5))]
        master.until(lambda: [refused.job for refused in master.last.refused_jobs] == ["j1"])
    changed, refused, _ = (report.failure for report in master.failures)
    assert changed and changed.reason == "input" and "/numbers changed since" in changed.message
    assert refused and refused.reason == "input" and "DC_FETCH=any" in refused.message


_COUNT = """
import time, dockercomp_chunk as chunk
begun = int(chunk.load_checkpoint() or b"0")
print("from", begun)
for number in range(begun, 60):
    chunk.progress(number / 60, "at %d" % number)
    chunk.save_checkpoint(b"%d" % number)
    time.sleep(0.1)
"""


def checkpointed(master: FakeMaster) -> bool:
    return any(report.checkpoint for report in master.last.running)


@pytest.mark.parametrize("what", ["worker", "container"])
def test_a_chunk_goes_on_from_its_checkpoint_when_its_worker_or_container_was_killed(
    master: FakeMaster, worker: Worker, pin: ImagePin, what: str
) -> None:
    give(master, pin, "python3", "-c", _COUNT)
    process = worker.start()
    master.until(lambda: checkpointed(master))
    (lease,) = master.leased
    if what == "worker":
        before = master.last.session
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        worker.start()
        master.until(lambda: master.last.session != before)
        assert master.last.held == [lease], "the lease is still named as held"
    else:
        docker("kill", *worker.containers())
    master.until(lambda: bool(master.done))
    word, begun = master.payload("j1", 0).split()
    assert word == b"from" and int(begun) > 0 and not master.failures and not master.returned
    assert list((worker.home / "worker" / "checkpoints").iterdir()) == []


def test_a_lease_that_went_to_others_meanwhile_is_let_go(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    give(master, pin, "python3", "-c", _COUNT)
    process = worker.start()
    master.until(lambda: checkpointed(master))
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    master.cancel |= set(master.leased)
    before = master.last.session
    worker.start("--grace", "0")
    master.until(lambda: master.last.session != before and not master.last.held)
    assert list((worker.home / "worker" / "checkpoints").iterdir()) == [] and not master.done
