"""The worker daemon as a process, against a master that would have it run what nobody signed or consented to."""

from typing import Any

import msgspec

from dockercomp.protocol import messages as m
from dockercomp.protocol.orders import ImagePin, JobOrder, ProgramSpec, StageOrder, WantsSpec, encode_order
from dockercomp.protocol.signing import (
    STATEMENT_VERSION,
    Statement,
    encode_statement,
    fingerprint,
    public_key,
    sign_order,
    sign_statement,
)
from tests.integration.fake_master import SEED, Chunk, FakeMaster
from tests.integration.test_worker_daemon import Worker, master, order, pin, worker
from tests.waiting import wait_until
from worker.checkpoints import Checkpoints

__all__ = ["master", "pin", "worker"]

ADA, EVE = bytes([7]) * 32, bytes([8]) * 32


def configure(worker: Worker, *lines: str) -> None:
    """Replaces the file in one step, as an editor does."""
    made = worker.home / "configuration.new"
    made.write_text("".join(f"{line}\n" for line in ("DC_CONTAINERS=1", "DC_CPUS=0.5", "DC_MEMORY=512MiB", *lines)))
    made.replace(worker.home / "configuration")


def signed(asked: JobOrder, seed: bytes = ADA, name: str = "ada", **changes: Any) -> m.SignedOrder:
    """What a master with its own key makes of an order that the scientist signed; `changes` are its own."""
    statement = encode_statement(
        Statement(version=STATEMENT_VERSION, scientist=name, nonce="n", order=msgspec.structs.replace(asked, job=""))
    )
    made = sign_order(asked.job, encode_order(msgspec.structs.replace(asked, **changes)), SEED)
    return msgspec.structs.replace(
        made,
        scientist_key=public_key(seed),
        scientist=statement,
        scientist_signature=sign_statement(statement, seed),
    )


def give(master: FakeMaster, found: m.SignedOrder) -> None:
    master.orders[found.job] = found
    master.chunks.append(Chunk(found.job, 0, b"x"))


def refusals(master: FakeMaster) -> dict[str, str]:
    return {refused.job: refused.reason for refused in master.last.refused_jobs}


def test_only_what_its_scientist_signed_runs_also_after_a_restart(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_REQUIRE_SIGNATURES=both", f"DC_SCIENTISTS={fingerprint(public_key(ADA))}")
    theirs = [StageOrder(program=ProgramSpec(command=["sh", "-c", "mine bitcoin"]))]
    give(master, sign_order("j1", encode_order(order(pin, "cat", job="j1")), SEED))
    give(master, signed(order(pin, "cat", job="j2"), stages=theirs))
    give(master, signed(order(pin, "cat", job="j3"), EVE))
    give(master, signed(order(pin, "cat", job="j4"), environment={"LD_PRELOAD": "/x"}))
    give(master, signed(order(pin, "cat", job="j5")))
    (worker.home / "worker" / "checkpoints").mkdir(parents=True)
    kept = m.Lease(id="kept", job="j6", stage=0, index=0, deadline_s=600, input=b"x")
    left_behind = sign_order("j6", encode_order(order(pin, "cat", job="j6")), SEED)
    Checkpoints(worker.home).claim(kept, left_behind, 600.0)
    worker.start()
    master.until(lambda: ("j5", 0) in master.done and len(refusals(master)) == 4)
    found = refusals(master)
    assert "carries no scientist's signature" in found["j1"]
    assert "job j6: refused: the job carries no scientist's signature" in worker.log()
    assert "not the one that its scientist signed" in found["j2"] and "not the one" in found["j4"]
    assert f"does not run the work of ada (key {fingerprint(public_key(EVE))})" in found["j3"]
    assert master.payload("j5", 0) == b"x" and set(master.done) == {("j5", 0)}
    assert "kept" not in master.last.held
    wait_until(lambda: "Runs the work of sha256:" in worker.call("limits").stdout)
    assert "signed by the master and by its scientist" in worker.call("limits").stdout


def test_wants_are_refused_granted_and_taken_back_while_it_runs(
    master: FakeMaster, worker: Worker, pin: ImagePin
) -> None:
    configure(worker, "DC_ALLOW=network")
    touch = ("sh", "-c", "echo mine > /usr/local/own && id -u && exec sleep 600")
    wants = WantsSpec(writable_root=True, capabilities=["DAC_OVERRIDE"])
    give(master, sign_order("j1", encode_order(msgspec.structs.replace(order(pin, *touch), wants=wants)), SEED))
    surfing = msgspec.structs.replace(order(pin, "cat", job="j2"), wants=WantsSpec(network=True))
    give(master, sign_order("j2", encode_order(surfing), SEED))
    worker.start()
    master.until(lambda: len(refusals(master)) == 2)
    assert "DC_ALLOW=writable_root" in refusals(master)["j1"]
    assert "cannot be given here: the engine keeps no firewall" in refusals(master)["j2"]
    first = next(sync.ceiling for sync in master.syncs if sync.ceiling)
    assert first.allows == [], "what cannot be bounded is not offered"
    wait_until(lambda: "Not network, though DC_ALLOW names it" in worker.call("limits").stdout)

    configure(worker, "DC_ALLOW=writable_root,capabilities")
    master.until(lambda: any(s.ceiling and s.ceiling.allows == ["writable_root", "capabilities"] for s in master.syncs))
    master.until(lambda: any(b"0\n" in report.output for s in master.syncs for report in s.running))

    configure(worker, "DC_ALLOW=none")
    master.until(lambda: "j1" in refusals(master) and not master.last.containers)
    assert not master.done and not master.failures


def test_a_root_folder_is_not_written_beyond_the_jobs_disk(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    configure(worker, "DC_ALLOW=writable_root")
    fill = ("sh", "-c", "head -c 64M /dev/zero > /usr/local/fill && exec sleep 600")
    greedy = msgspec.structs.replace(order(pin, *fill), wants=WantsSpec(writable_root=True))
    give(master, sign_order("j1", encode_order(greedy), SEED))
    worker.start()
    master.until(lambda: len(master.failures) == 1)
    failure = master.failures[0].failure
    assert failure is not None and failure.reason == "disk" and "into its root folder" in failure.message


def test_a_master_of_another_key_is_not_enrolled_with(master: FakeMaster, worker: Worker, pin: ImagePin) -> None:
    worker.env["DC_MASTER_KEY"] = fingerprint(public_key(EVE))
    process = worker.start()
    master.until(lambda: bool(master.enrolments))
    assert process.wait(20) == 78
    assert not master.syncs and "poses as yours" in worker.call("status").stdout
