"""Receipts as people get and check them: over HTTP and by the command line, on a whole master, and over a new key."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp import cli
from dockercomp.protocol import receipts
from dockercomp.protocol.errors import Unauthorized
from dockercomp.protocol.keychain import KeyChain
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec
from dockercomp.protocol.receipts import JobReceipt
from dockercomp.protocol.signing import fingerprint
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import SubmitRequest
from server import instance
from server.audit import Asked, Audit
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import Master, Volunteer
from tests.waiting import wait_until

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m") / "h") as found:
        yield found


@pytest.fixture
def master(running: RunningMaster) -> Iterator[Master]:
    with running.store() as store:
        yield Master(store)


@pytest.fixture
def run(
    running: RunningMaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """`dockercomp` of a person who has the master's credentials in a home of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DC_HOME", str(tmp_path / "none"))
    mine = tmp_path / "config" / "dockercomp"
    mine.mkdir(parents=True)
    (mine / "credentials.json").write_text(json.dumps({"url": running.url, "token": running.admin_token}))

    def call(*argv: str) -> tuple[int, str, str]:
        code = cli.run([*argv])
        out, err = capfd.readouterr()
        return code, out, err

    return call


def completed(master: Master, chunks: int = 3, *volunteers: Volunteer) -> str:
    spec = JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        reuse=False,
    )
    job = str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])
    volunteers = volunteers or (master.volunteer(), master.volunteer())
    for volunteer in volunteers * 20:
        volunteer.work()
        if (master.store.jobs.by_id(job) or {})["state"] == "completed":
            return job
    raise AssertionError("the job did not complete")


def stated(raw: bytes) -> JobReceipt:
    found = receipts.read(receipts.opened(raw))
    assert isinstance(found, JobReceipt)
    return found


def test_a_result_is_saved_with_its_receipt_and_verified_without_the_master(
    running: RunningMaster, master: Master, run: Run, tmp_path: Path
) -> None:
    pair = master.volunteer(), master.volunteer()
    job = completed(master, 3, *pair)
    assert run("results", job, "--output", "out")[0] == 0
    raw = (tmp_path / "out" / "receipt.json").read_bytes()
    assert raw == running.admin().request("job_receipt", job=job).content
    (tmp_path / "config" / "dockercomp" / "credentials.json").unlink()  # no way to the master any more
    code, out, err = run("verify", "out/receipt.json", "out")
    assert code == 0, out + err
    assert out.splitlines()[0].endswith(f"signed by the key of the master at {running.url}, as it was noted here")
    for volunteer in pair:
        assert volunteer.id in out
    (tmp_path / "out" / "result").write_text("another")
    assert run("verify", "out/receipt.json", "out")[0] == 1


def test_a_chunks_receipt_is_covered_by_its_jobs(
    running: RunningMaster, master: Master, run: Run, tmp_path: Path
) -> None:
    job = completed(master, 70)
    chunk = f"{job}.0.{65:012d}"
    (tmp_path / "part").write_bytes(running.admin().request("chunk_result", chunk=chunk).content)
    assert run("receipt", chunk, "--output", "chunk.json")[0] == 0
    assert run("receipt", job, "--output", "job.json")[0] == 0
    code, out, err = run("verify", "chunk.json", "part", "--of", "job.json")
    assert code == 0, out + err
    assert "the receipt of map chunk 65" in out and f"one of the 70 chunks that the receipt of job {job} covers" in out


def test_a_superseded_receipt_is_told_online(running: RunningMaster, master: Master, run: Run, tmp_path: Path) -> None:
    job = completed(master)
    assert run("results", job, "--output", "out")[0] == 0
    assert run("verify", "out/receipt.json", "out", "--online")[1].splitlines()[-1] == (
        "it is the newest receipt of its job"
    )
    assert master.store.editions.withdraw(job, "a client was found wrong")
    code, out, _ = run("verify", "out/receipt.json", "out", "--online")
    assert code == 1
    assert out.splitlines()[-1] == (
        f"superseded: this receipt does not hold any more: job {job} has no receipt: its result was withdrawn: a client"
        " was found wrong"
    )
    master.store.editions.reviewed(job)
    wait_until(lambda: (master.store.jobs.by_id(job) or {}).get("receipts", {}).get("2") is not None)
    code, out, _ = run("verify", "out/receipt.json", "out", "--online")
    assert code == 1
    assert out.splitlines()[-1] == (
        f"superseded: edition 2 of the receipt of job {job} has taken its place: a client was found wrong"
    )
    assert run("results", job, "--output", "again")[0] == 0
    code, out, _ = run("verify", "again/receipt.json", "again", "--online")
    assert (code, "edition 2" in out.splitlines()[0]) == (0, True)
    assert run("receipt", job, "--edition", "1", "--output", "first.json")[0] == 0
    assert (tmp_path / "first.json").read_bytes() == (tmp_path / "out" / "receipt.json").read_bytes()


def test_who_may_not_see_the_job_does_not_see_its_receipt(running: RunningMaster, master: Master) -> None:
    job = completed(master)
    for token in ("", "wrong"):
        with pytest.raises(Unauthorized):
            Connection(running.url, token, retries=0).request("job_receipt", job=job)
    chain = Connection(running.url, "", retries=0).call("master_keys", KeyChain)
    assert len(chain.key) == 64, "the key is for everybody"


def test_after_a_change_of_keys_old_and_new_receipts_are_verified(
    running: RunningMaster, master: Master, run: Run, tmp_path: Path
) -> None:
    job = completed(master)
    assert run("results", job, "--output", "old")[0] == 0
    before = run("master-key")[1].splitlines()[0]
    assert run("verify", "old/receipt.json", "old", "--key", fingerprint(before))[0] == 0
    master.store.close()
    instance.stop(running.settings)
    instance.start(running.settings, lambda _: None, new_key=True)

    with running.store() as store:
        later = completed(Master(store))
    assert run("results", later, "--output", "new")[0] == 0
    after = run("master-key")[1].splitlines()[0]
    assert after != before
    with running.store() as store:
        entry = Audit(store).page(Asked(kind="signing_key")).entries[0]
    assert (entry.person, entry.subject) == ("server", fingerprint(after))
    assert stated((tmp_path / "new" / "receipt.json").read_bytes()).master.key == after
    assert stated((tmp_path / "old" / "receipt.json").read_bytes()).master.key == before
    (tmp_path / "chain.json").write_text(run("master-key", "--json")[1])
    for saved in ("old", "new"):
        code, out, err = run("verify", f"{saved}/receipt.json", saved)
        assert code == 0, out + err
        assert run("verify", f"{saved}/receipt.json", saved, "--key", "chain.json")[0] == 0
    assert run("verify", "old/receipt.json", "old", "--key", after)[0] == 1, "a key alone does not lead back"
