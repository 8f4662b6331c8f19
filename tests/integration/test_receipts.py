"""Receipts on a real store: made once at a job's end, of every kind of job, and what they say of each chunk."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec
import pytest

from dockercomp.protocol import bundle, merkle, receipts
from dockercomp.protocol.errors import Busy, Conflict, NotFound
from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.receipts import ChunkReceipt, ChunkRecord, JobReceipt
from dockercomp.protocol.views import InputFile, SubmitRequest
from server import receipts as making
from server.housekeeping import Housekeeping
from server.receipts import Receipts
from server.removal import KEPT_S, KEPT_UPLOAD_S, Removal
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master, Volunteer, done

SEED = b"k" * 32


@dataclass
class Kept(Master):
    """A master with its background duties."""

    duties: Housekeeping = field(init=False)


@pytest.fixture
def master(store: Store, settings: Settings) -> Iterator[Kept]:
    found = Kept(store)
    found.duties = Housekeeping(store, settings)
    yield found


@pytest.fixture
def making_receipts(store: Store) -> Receipts:
    return Receipts(store, Sources(store), SEED, "http://127.0.0.1:1")


def work(master: Kept, job: str, *volunteers: Volunteer) -> Document:
    """The job's document once it has completed."""
    for _ in range(50):
        for volunteer in volunteers:
            volunteer.work()
        document = master.store.jobs.by_id(job)
        assert document is not None
        if document["state"] != "running":
            break
        master.duties.round(master.store.duties.now())
    assert document["state"] == "completed", document.get("error")
    return document


def job_receipt(raw: bytes) -> JobReceipt:
    found = receipts.read(receipts.opened(raw))
    assert isinstance(found, JobReceipt)
    return found


def chunk_receipt(raw: bytes) -> tuple[ChunkReceipt, ChunkRecord]:
    found = receipts.read(receipts.opened(raw))
    assert isinstance(found, ChunkReceipt)
    return found, receipts.record_of(found)


def submit(master: Kept, spec: JobSpec, *inputs: InputFile) -> str:
    return str(master.submission.submit("ada", SubmitRequest(spec=spec, inputs=list(inputs)), "")["_id"])


def numbers(count: int, **fields: object) -> JobSpec:
    return JobSpec(
        name="numbers",
        image="i",
        input=InputSpec(split="range", start=0, stop=count, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        **fields,  # type: ignore[arg-type]
    )


def told(volunteer: Volunteer) -> None:
    """Its results come with what a worker says of a run."""

    def compute() -> None:
        for lease in volunteer.held.values():
            volunteer.results[lease.id] = msgspec.structs.replace(
                done(lease.id, volunteer.program(lease)),
                cpu_s=2.0,
                wall_s=3.0,
                cpus_limit=1.5,
                memory_limit=256 << 20,
                input_digest="ab" * 32,
            )
        volunteer.held.clear()

    volunteer.compute = compute  # type: ignore[method-assign]


def test_a_jobs_receipt_says_what_ran_on_what_by_whom_and_how_it_was_checked(
    master: Kept, making_receipts: Receipts
) -> None:
    job = master.submit(70, quorum=2, reduce=True)
    volunteers = [master.volunteer(), master.volunteer()]
    for each in volunteers:
        told(each)
    document = work(master, job, *volunteers)
    found = job_receipt(making_receipts.of_job(document))
    assert (found.job, found.name, found.scientist, found.edition) == (job, "numbers", "ada", 1)
    assert found.image.config_digest == "sha256:" + "1" * 64
    assert found.order == hashlib.sha256(document["order"]).hexdigest()
    assert (found.output.digest, found.output.size) == (document["result"]["digest"], document["result"]["size"])
    assert found.submitted < found.ended
    checked = found.verification
    assert (checked.rules["policy"], checked.rules["quorum"], checked.rules["compare"]) == ("quorum", 2, "bytes")
    assert checked.chunks == {"quorum": 71}
    assert (checked.results, checked.outvoted) == (142, 0)
    assert checked.estimated_error is not None
    assert checked.estimated_error["basis"] == "quorum" and checked.error_method
    assert (checked.cpus_limits, checked.memory_limits) == ([1.5, 1.5], [256 << 20, 256 << 20])
    assert (checked.cpu_s, checked.cpu_s_checking) == (284.0, 142.0)
    assert checked.least is not None
    assert (checked.least.clients, checked.least.owners) == (2, 1), "two machines of one lab are one owner"
    assert {each.client: each.agreed for each in found.contributors} == {each.id: 71 for each in volunteers}
    assert (found.clients, found.owners, found.chunks) == (2, 1, 71)


def test_each_chunks_receipt_proves_its_place_in_the_jobs(master: Kept, making_receipts: Receipts) -> None:
    document = work(master, master.submit(130, quorum=2, reduce=True), master.volunteer(), master.volunteer())
    whole = job_receipt(making_receipts.of_job(document))
    document = master.store.jobs.by_id(document["_id"])  # with its receipt
    assert document is not None
    leaves = []
    for chunk in master.store.chunks.page(document["_id"], None, "", "", 1000):
        found, record = chunk_receipt(making_receipts.of_chunk(document, chunk))
        assert (found.records, found.chunks, found.place) == (whole.records, 131, len(leaves))
        assert (record.chunk, record.output_digest, record.output_size) == (chunk.id, chunk.digest, chunk.size)
        assert [vote.verdict for vote in record.votes] == ["agreed", "agreed"]
        assert record.accepted
        leaves.append(merkle.leaf(found.record.encode()))
        assert making_receipts.of_chunk(document, chunk) == making_receipts.of_chunk(document, chunk)
    assert merkle.root(leaves).hex() == whole.records


def test_a_liars_vote_stands_in_the_receipt(master: Kept, making_receipts: Receipts) -> None:
    liar = master.volunteer(lambda lease: b"lie\n")
    honest = [master.volunteer(), master.volunteer()]
    job = master.submit(3, quorum=2)
    liar.work()
    liar.work()
    document = work(master, job, *honest)
    found = job_receipt(making_receipts.of_job(document))
    assert found.verification.outvoted == 3
    assert {each.client: (each.agreed, each.outvoted) for each in found.contributors}[liar.id] == (0, 3)
    chunk = master.store.chunks.page(job, None, "", "", 1)[0]
    _, record = chunk_receipt(making_receipts.of_chunk(document, chunk))
    assert sorted(vote.verdict for vote in record.votes) == ["agreed", "agreed", "outvoted"]
    assert {vote.client for vote in record.votes if vote.verdict == "outvoted"} == {liar.id}


def test_a_job_that_checks_nothing_says_so(master: Kept, making_receipts: Receipts) -> None:
    document = work(master, master.submit(4, quorum=1), master.volunteer())
    checked = job_receipt(making_receipts.of_job(document)).verification
    assert checked.chunks == {"unchecked": 4}
    assert checked.rules["policy"] == "none"
    assert checked.least is None


def test_an_adaptive_job_states_what_rests_on_one_word_and_how_wrong_it_may_be(
    master: Kept, making_receipts: Receipts
) -> None:
    spec = numbers(60, verify=VerifySpec(policy="adaptive"))
    document = work(master, submit(master, spec), *(master.volunteer() for _ in range(3)))
    found = job_receipt(making_receipts.of_job(document))
    checked = found.verification
    assert sum(checked.chunks.values()) == 60 and set(checked.chunks) <= {"quorum", "single"}
    assert sum(each.alone for each in found.contributors) == checked.chunks.get("single", 0)
    assert (checked.rules["policy"], checked.rules["floor"]) == ("adaptive", 0.02)
    assert checked.estimated_error is not None
    stated = checked.estimated_error
    assert stated["basis"] == "adaptive" and 0 <= stated["low"] <= stated["share"] <= stated["high"] <= 1


@pytest.mark.parametrize("fan_in", [2, 3])
def test_chunks_of_every_level_of_a_tree_are_proven(master: Kept, making_receipts: Receipts, fan_in: int) -> None:
    tree = ReduceSpec(command=["cat"], fan_in=fan_in)
    spec = numbers(9, reduce=tree, verify=VerifySpec(policy="none"))
    document = work(master, submit(master, spec), master.volunteer(lambda _: b"same\n"))
    whole = job_receipt(making_receipts.of_job(document))
    kept = master.store.jobs.by_id(document["_id"])
    assert kept is not None
    chunks = [
        chunk
        for number in range(len(kept["stages"]))
        for chunk in master.store.chunks.page(kept["_id"], number, "", "", 100)
    ]
    proven = [chunk_receipt(making_receipts.of_chunk(kept, chunk)) for chunk in chunks]
    assert [receipt.place for receipt, _ in proven] == list(range(whole.chunks))
    assert [record.chunk for _, record in proven] == [chunk.id for chunk in chunks]
    assert {receipt.records for receipt, _ in proven} == {whole.records}


def test_a_result_that_was_taken_over_names_the_chunk_that_gave_it(master: Kept, making_receipts: Receipts) -> None:
    first = work(master, submit(master, numbers(3)), master.volunteer(), master.volunteer())
    second = work(master, submit(master, numbers(4)), master.volunteer(), master.volunteer())
    found = job_receipt(making_receipts.of_job(second))
    assert found.verification.chunks == {"quorum": 1, "reused": 3}
    chunk = master.store.chunks.page(second["_id"], None, "", "", 1)[0]
    _, record = chunk_receipt(making_receipts.of_chunk(second, chunk))
    assert (record.basis, record.reused_from, record.votes) == ("reused", f"{first['_id']}.0.{0:012d}", [])


def test_a_result_of_files_has_the_digest_of_each(master: Kept, making_receipts: Receipts) -> None:
    def files(lease: Lease) -> bytes:
        return bundle.pack([(f"{lease.index}/a.txt", b"a" * lease.index), ("same.txt", f"{lease.index}".encode())])

    spec = numbers(5, verify=VerifySpec(policy="none"))
    spec = msgspec.structs.replace(spec, map=ProgramSpec(command=["true"], outputs=["**"]))
    document = work(master, submit(master, spec), master.volunteer(files))
    output = job_receipt(making_receipts.of_job(document)).output
    named = {each.name: (each.size, each.digest) for each in output.listed}
    assert output.files == 10
    assert named["3/a.txt"] == (3, hashlib.sha256(b"aaa").hexdigest())
    assert named["000000004/same.txt"] == (1, hashlib.sha256(b"4").hexdigest())
    hashes = [receipts.file_hash(name, *of) for name, of in named.items()]
    assert receipts.files_digest(hashes) == output.files_digest


def test_inputs_are_named_with_their_digests(master: Kept, making_receipts: Receipts) -> None:
    data = b"one\ntwo\n"
    name = InputFile(name="words.txt", digest=master.store.blobs.put(data), size=len(data))
    spec = JobSpec(name="x", image="i", input=InputSpec(split="lines"), map=ProgramSpec(command=["cat"]))
    document = work(master, submit(master, spec, name), *(master.volunteer(lambda _: data) for _ in range(2)))
    inputs = job_receipt(making_receipts.of_job(document)).inputs
    assert [(each.name, each.size, each.digest) for each in inputs.listed] == [
        ("words.txt", len(data), hashlib.sha256(data).hexdigest())
    ]
    assert (inputs.count, inputs.digest) == (1, document["inputs"])


def test_the_receipt_is_made_once_and_stays_the_same_bytes(
    master: Kept, making_receipts: Receipts, settings: Settings
) -> None:
    document = work(master, master.submit(5), master.volunteer(), master.volunteer())
    assert document["receipt_due"]
    raws: list[bytes] = []
    threads = [threading.Thread(target=lambda: raws.append(making_receipts.of_job(document))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(raws) == 4 and len(set(raws)) == 1
    assert master.store.jobs.without_receipt() == []
    later = master.store.jobs.by_id(document["_id"])
    assert later is not None
    other = Receipts(master.store, Sources(master.store), b"z" * 32, "http://else")
    assert other.of_job(later) == raws[0], "another master, with another key even, gives the one that is kept"
    assert not making_receipts.make(document), "of several makers one is kept"


def test_housekeeping_makes_what_nobody_asked_for(master: Kept, settings: Settings) -> None:
    document = work(master, master.submit(5), master.volunteer(), master.volunteer())
    Housekeeping(master.store, settings).round(master.store.duties.now())
    after = master.store.jobs.by_id(document["_id"])
    assert after is not None and after["receipts"]["1"]["envelope"] and "receipt_due" not in after


def test_what_happens_to_a_chunk_afterwards_does_not_change_its_receipt(
    master: Kept, making_receipts: Receipts
) -> None:
    """A canary may come back when the job has ended; the record that the job's receipt covers is the one given."""
    document = work(master, master.submit(3), master.volunteer(), master.volunteer())
    making_receipts.make(document)
    kept = master.store.jobs.by_id(document["_id"])
    assert kept is not None
    chunk = master.store.chunks.page(document["_id"], None, "", "", 1)[0]
    before = making_receipts.of_chunk(kept, chunk)
    late = msgspec.structs.replace(chunk.replicas[0], lease="c9.x", client="c9", canary=True)
    changed = msgspec.structs.replace(chunk, replicas=(*chunk.replicas, late), version=chunk.version + 1)
    assert master.store.chunks.compare_and_set([(chunk, changed)], "m")
    assert making_receipts.of_chunk(kept, changed) == before


def test_a_later_edition_names_the_one_it_supersedes_and_both_can_be_had(
    master: Kept, making_receipts: Receipts
) -> None:
    document = work(master, master.submit(3), master.volunteer(), master.volunteer())
    first = making_receipts.of_job(document)
    master.store.database["jobs"].update_one({"_id": document["_id"]}, {"$set": {"edition": 2}})
    again = master.store.jobs.by_id(document["_id"])
    assert again is not None
    second = job_receipt(making_receipts.of_job(again))
    assert second.edition == 2
    assert second.supersedes == hashlib.sha256(receipts.opened(first).body.encode()).hexdigest()
    both = master.store.jobs.by_id(document["_id"])
    assert both is not None and making_receipts.of_job(both, 1) == first
    with pytest.raises(NotFound, match="edition 7"):
        making_receipts.of_job(both, 7)


def test_only_results_have_receipts(master: Kept, making_receipts: Receipts) -> None:
    job = master.submit(2)
    first, second = master.volunteer(), master.volunteer()
    first.work(1)
    document = master.store.jobs.by_id(job)
    assert document is not None
    with pytest.raises(Conflict, match="running"):
        making_receipts.of_job(document)
    chunk = master.store.chunks.page(job, None, "", "", 1)[0]
    with pytest.raises(Conflict, match="no accepted result"):
        making_receipts.of_chunk(document, chunk)
    first.work(1)
    for _ in range(3):
        second.work(2)
    chunk = master.store.chunks.page(job, None, "accepted", "", 1)[0]
    running = msgspec.structs.replace(chunk)
    found, record = chunk_receipt(making_receipts.of_chunk({**document, "state": "running"}, running))
    assert record.output_digest == chunk.digest
    assert (found.of, found.path) == ("", []), "while its job runs it proves no place"


def test_a_large_job_is_not_made_while_somebody_waits(
    master: Kept, making_receipts: Receipts, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    document = work(master, master.submit(5), master.volunteer(), master.volunteer())
    monkeypatch.setattr(making, "_AT_ONCE", 4)
    with pytest.raises(Busy):
        making_receipts.of_job(document)
    duties = Housekeeping(master.store, settings)
    duties.round(master.store.duties.now())
    assert duties._stating_results.wait(20)
    after = master.store.jobs.by_id(document["_id"])
    assert after is not None and making_receipts.of_job(after)


def test_no_receipt_is_made_of_a_job_of_which_a_chunk_is_open_again(master: Kept, making_receipts: Receipts) -> None:
    document = work(master, master.submit(5), master.volunteer(), master.volunteer())
    chunk = master.store.chunks.page(document["_id"], None, "", "", 1)[0]
    opened = msgspec.structs.replace(chunk, state="open", digest=None, size=None, version=chunk.version + 1)
    master.store.chunks.compare_and_set([(chunk, opened)], "m")
    with pytest.raises(Conflict, match="checked again"):
        making_receipts.of_job(document)


def test_receipts_live_as_long_as_their_job(master: Kept, making_receipts: Receipts) -> None:
    document = work(master, master.submit(5), master.volunteer(), master.volunteer())
    other = work(master, submit(master, numbers(2, reuse=False)), master.volunteer(), master.volunteer())
    for each in (document, other):
        making_receipts.make(each)
    removal, later = Removal(master.store, Sources(master.store)), time.time() + KEPT_S + KEPT_UPLOAD_S
    kept, gone = (master.store.jobs.by_id(each["_id"]) for each in (document, other))
    assert kept is not None and gone is not None
    removal.remove(gone)
    assert removal.free_removed(later) == 1
    removal.free_uploads(later)
    chunk = master.store.chunks.page(kept["_id"], None, "", "", 1)[0]
    assert job_receipt(making_receipts.of_job(kept)).job == kept["_id"]
    assert chunk_receipt(making_receipts.of_chunk(kept, chunk))[1].chunk == chunk.id
    for part in ("envelope", "records", "index"):
        with pytest.raises(NotFound):
            master.store.blobs.open(gone["receipts"]["1"][part])
