"""What could give a wrong result, lose one, or hang a job or its workers: the corners of stages, reuse and inputs."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dockercomp.protocol import bundle
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.messages import Lease, SyncAnswer
from dockercomp.protocol.orders import ColumnRule, InputSpec, JobSpec, PlotSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server import describing, reasons
from server.explaining import Explaining
from server.housekeeping import Housekeeping
from server.measuring import Measuring
from server.merging import merged
from server.reopening import Reopening
from server.results import Results
from server.settings import Settings
from server.sources import Sources
from server.stages import Stages
from server.store import Store
from server.store.blobs import BlobReader
from server.store.connection import Document
from server.tables import Extent
from tests.integration.simulated import Master
from tests.integration.test_stages import (
    LINES,
    by_key,
    computed,
    input_of,
    job_of,
    join,
    run,
    submit,
    total,
    uploaded,
    worker,
)


@pytest.fixture
def master(store: Store) -> Iterator[Master]:
    yield Master(store)


@pytest.fixture
def housekeeping(master: Master, settings: Settings) -> Housekeeping:
    return Housekeeping(master.store, settings)


def document_of(master: Master, job: str) -> Document:
    found = master.store.jobs.by_id(job)
    assert found is not None
    return found


def test_a_tree_never_reduces_around_chunks_that_were_cancelled_while_it_was_run_again(
    master: Master, housekeeping: Housekeeping
) -> None:
    """Housekeeping had read that the job was cancelled, and cancels what is open just after it runs again."""
    spec = job_of(InputSpec(split="lines", chunk_size=400), reduce=ReduceSpec(command=["sum"], fan_in=3))
    job = submit(master, spec, uploaded(master, "x", LINES))
    slow, fast = worker(master, total), worker(master, total)
    slow.send(slow.request(1))  # chunk 0
    fast.work(20)
    fast.work(0)
    master.store.jobs.end(job, "cancelled", {"error": ""})
    Reopening(master.store).retry(document_of(master, job))
    housekeeping._cancel_open(job)
    assert run(master, housekeeping, job, fast, worker(master, total)) == b"%d\n" % sum(range(1000))


def test_a_program_that_asks_for_its_index_gets_its_own(master: Master, housekeeping: Housekeeping) -> None:
    def indexed(lease: Lease) -> bytes:
        return b"%d\n" % lease.index

    def numbers(start: int, stop: int) -> JobSpec:
        program = ProgramSpec(command=["sh", "-c", "echo {index}"])
        return job_of(InputSpec(split="range", start=start, stop=stop), map=program, reuse=True)

    run(master, housekeeping, submit(master, numbers(5, 8)), master.volunteer(indexed))
    result = run(master, housekeeping, submit(master, numbers(4, 8)), master.volunteer(indexed))
    assert result == b"0\n1\n2\n3\n"


@pytest.mark.parametrize("names", [("a", "a"), ("a", "a-", "a/b"), ("../a",), ("/a",), ("",), ("x" * 300,)])
def test_files_that_cannot_all_be_placed_are_refused(master: Master, names: tuple[str, ...]) -> None:
    """Of two of one name a container would see the last alone."""
    files = [uploaded(master, name, b"%d" % number) for number, name in enumerate(names)]
    spec = job_of(InputSpec(split="files", files_per_chunk=10))
    with pytest.raises(InvalidJob, match="name"):
        submit(master, spec, *files)
    listed = b"\n".join(msgspec.json.encode(file) for file in files)
    with pytest.raises(InvalidJob, match="name"):
        master.submission.submit("ada", SubmitRequest(spec=spec, input_list=master.store.blobs.put(listed)), "")


@pytest.mark.parametrize("made", [1, 3])
def test_a_result_with_other_sections_than_asked_for_is_never_reduced(
    master: Master, housekeeping: Housekeeping, made: int
) -> None:
    reduce = ReduceSpec(command=["sort"], partitions=2)
    job = submit(master, job_of(InputSpec(split="lines"), reduce=reduce), uploaded(master, "x", LINES))
    with pytest.raises(AssertionError, match=f"the result of chunk 0 has {made} sections"):
        run(master, housekeeping, job, worker(master, by_key(made)))


def test_a_list_of_inputs_and_inputs_beside_it_are_refused(master: Master) -> None:
    file = uploaded(master, "x", LINES)
    listed = master.store.blobs.put(msgspec.json.encode(file))
    request = SubmitRequest(spec=job_of(InputSpec(split="lines")), inputs=[file], input_list=listed)
    with pytest.raises(InvalidJob, match="either"):
        master.submission.submit("ada", request, "")


def test_an_input_that_is_gone_stops_its_own_job_alone(master: Master, housekeeping: Housekeeping) -> None:
    file = uploaded(master, "x", LINES)
    lost = submit(master, job_of(InputSpec(split="lines", chunk_size=1000)), file)
    other = submit(master, job_of(InputSpec(split="range", stop=3)))
    (master.store.blobs._root / file.digest[:2] / file.digest).unlink()  # type: ignore[attr-defined]
    volunteer = master.volunteer()
    leases = volunteer.send(volunteer.request(10)).leases
    assert {lease.job for lease in leases} == {lost, other}
    assert all(lease.input is None for lease in leases if lease.job == lost), "its worker asks for it, and is told"


def test_a_long_url_reaches_the_workers(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    from dockercomp.protocol.remote import Remote

    monkeypatch.setattr("server.listing.look", lambda *_, **__: Remote(1000, '"e"'))
    url = "https://bucket.example/x?X-Amz-Security-Token=" + "t" * 1500
    submit(master, job_of(InputSpec(split="lines", fetch="workers")), InputFile(name="x", url=url))
    volunteer = master.volunteer()
    answer = msgspec.json.decode(msgspec.json.encode(volunteer.send(volunteer.request(1))), type=SyncAnswer)
    assert answer.leases[0].fetch is not None and answer.leases[0].fetch[0].url == url


@pytest.mark.parametrize("size", [10**15, 2**64])
def test_a_url_that_claims_to_be_endless_is_refused(master: Master, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    from dockercomp.protocol.remote import Remote

    monkeypatch.setattr("server.listing.look", lambda *_, **__: Remote(size, ""))
    spec = job_of(InputSpec(split="lines", chunk_size=1))
    with pytest.raises(InvalidJob):
        submit(master, spec, InputFile(name="x", url="http://x.example/"))


@pytest.mark.parametrize("size", [-1, 2**63])
def test_a_forecast_of_impossible_sizes_says_so(master: Master, size: int) -> None:
    files = [InputFile(name=f"{n}", digest="0" * 64, size=size) for n in range(2)]
    with pytest.raises(InvalidJob):
        spec = job_of(InputSpec(split="lines"))
        master.submission.outlook("ada", spec, SubmitRequest(spec=spec, inputs=files))


def test_results_are_found_whatever_was_run_meanwhile(master: Master, housekeeping: Housekeeping) -> None:
    """Of the same program: over another input, and once more but cancelled at once."""
    spec = job_of(InputSpec(split="lines", chunk_size=500), reuse=True)
    one, two = uploaded(master, "one", LINES), uploaded(master, "two", LINES[1000:])
    volunteer = worker(master, join)
    run(master, housekeeping, submit(master, spec, one), volunteer)
    run(master, housekeeping, submit(master, spec, two), volunteer)
    count = computed(volunteer)
    run(master, housekeeping, submit(master, spec, one), volunteer)
    cancelled = submit(master, msgspec.structs.replace(spec, reuse=False), one)
    master.store.jobs.end(cancelled, "cancelled", {"error": ""})
    run(master, housekeeping, submit(master, spec, one), volunteer)
    assert count() == 0


def test_taken_over_chunks_are_not_walked_over_by_workers(master: Master, housekeeping: Housekeeping) -> None:
    def numbers(start: int, stop: int) -> JobSpec:
        return job_of(InputSpec(split="range", start=start, stop=stop), reuse=True)

    run(master, housekeeping, submit(master, numbers(1, 2000)), master.volunteer(), want=500)
    job = submit(master, numbers(0, 2002))
    volunteer = master.volunteer()
    for _ in range(4):
        volunteer.work(1)
        housekeeping.round(master.store.duties.now())
    assert document_of(master, job)["state"] == "completed"


def test_a_job_that_waited_begins_once(master: Master, housekeeping: Housekeeping) -> None:
    """A housekeeper that was thought dead comes late: what others were given since must stay."""
    first = submit(master, job_of(InputSpec(split="lines", chunk_size=500)), uploaded(master, "x", LINES))
    second = submit(master, job_of(InputSpec(split="lines", chunk_size=100)), InputFile(name="x", job=first))
    waiting = document_of(master, second)
    volunteer = worker(master, join)
    run(master, housekeeping, first, volunteer)
    housekeeping.round(master.store.duties.now())
    volunteer.send(volunteer.request(3))
    assert document_of(master, second)["stages"]["0"]["cursor"] == 3
    assert not housekeeping._inputs_of_jobs.resolve(waiting)
    assert document_of(master, second)["stages"]["0"]["cursor"] == 3


# --- what would take too much time or memory --------------------------------------------------------------------------


def test_merging_keeps_no_file_open_and_little_in_memory(master: Master) -> None:
    sources = Sources(master.store)
    readers = []
    for number in range(60):
        data = b"".join(b"%05d %d\n" % (line, number) for line in range(10_000))
        readers.append(sources.reopening(master.store.blobs.put(data), len(data)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    lines = merged(readers)
    assert next(lines).startswith(b"00000 0\n00000 1\n")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_sorted_results_that_are_no_lines_end_the_job_with_the_reason(
    master: Master, housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.merging._LONGEST", 10)

    def compute(stage: int, pieces: list[bytes]) -> bytes:
        return b"x" * 100 if stage else bundle.pack([("0", b""), ("1", b"")])

    reduce = ReduceSpec(command=["sort"], partitions=2, sort=True)
    job = submit(master, job_of(InputSpec(split="lines"), reduce=reduce), uploaded(master, "x", LINES))
    with pytest.raises(AssertionError, match=r"has a line of over .* use sort = false"):
        run(master, housekeeping, job, worker(master, compute))


def test_many_sections_are_listed_by_housekeeping_and_far_too_many_refused(
    master: Master, housekeeping: Housekeeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.sync._ADVANCE_AT_ONCE", 14)
    advanced: list[str] = []
    monkeypatch.setattr(Stages, "advance", lambda _, job: advanced.append(job["_id"]))
    spec = job_of(InputSpec(split="lines", chunk_size=500), reduce=ReduceSpec(command=["sort"], partitions=2))
    file = uploaded(master, "x", LINES)
    submit(master, spec, file)
    volunteer = worker(master, by_key(2))
    volunteer.work(20)
    volunteer.work(0)
    assert not advanced, "8 chunks are no more than 14, but their 16 sections are"
    monkeypatch.setattr("server.jobs.MOST_SECTIONS", 15)
    with pytest.raises(InvalidJob, match="8 chunks divided into 2 partitions are more than 15 sections"):
        submit(master, spec, file)


def test_no_sync_looks_for_the_far_end_of_a_line(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(master, job_of(InputSpec(split="lines", chunk_size=1000)), uploaded(master, "x", b"x" * 3_000_000))
    read: list[int] = []
    opened = Sources.open

    def counting(sources: Sources, extent: Extent) -> BlobReader:
        reader = opened(sources, extent)
        inner = reader.read_at

        def read_at(offset: int, length: int) -> bytes:
            read.append(length)
            return inner(offset, min(length, reader.size - offset))

        reader.read_at = read_at  # type: ignore[method-assign]
        return reader

    monkeypatch.setattr(Sources, "open", counting)
    volunteer = master.volunteer()
    leases = volunteer.send(volunteer.request(5)).leases
    assert sum(read) < 5 * 4 * 2**16
    assert leases[0].input is None and all(lease.input == b"" for lease in leases[1:])
    assert len(input_of(master, leases[0])[0]) == 3_000_000
    assert document_of(master, job)["stages"]["0"]["total"] == 3000


def test_a_csv_without_line_ends_is_refused(master: Master) -> None:
    """Each of its chunks would begin with all of it."""
    spec = job_of(InputSpec(split="csv", chunk_size=2**20))
    with pytest.raises(InvalidJob, match=r"x\.csv has a first line of over 1 MiB"):
        submit(master, spec, uploaded(master, "x.csv", b"a,b\r1,2\r" * 300_000))


def test_what_is_taken_over_is_no_speed(master: Master, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """An estimate would promise the rest at once."""
    monkeypatch.setattr("server.jobs._TAKEN_OVER_AT_ONCE", 0)
    spec = job_of(InputSpec(split="lines", chunk_size=500), reuse=True)
    file = uploaded(master, "x", LINES)
    run(master, Housekeeping(master.store, settings), submit(master, spec, file), worker(master, join))
    job = submit(master, spec, file)
    assert document_of(master, job)["reuse"]
    Measuring(master.store, 60).measure(master.store.jobs.running(), master.store.duties.now())
    assert not document_of(master, job).get("samples")


def test_a_file_named_as_anothers_folder_gives_a_result_that_can_be_saved(
    master: Master, housekeeping: Housekeeping
) -> None:
    names = {b"0": "a", b"1": "a/b", b"2": "c"}
    spec = job_of(InputSpec(split="files"), map=ProgramSpec(command=["m"], outputs=["**"]))
    job = submit(master, spec, *(uploaded(master, name.decode(), name) for name in names))
    one = worker(master, lambda _, pieces: bundle.pack([(names[pieces[0]], b"")]))
    run(master, housekeeping, job, one)
    table = one.master.sync._inputs.sources.table(document_of(master, job)["result"]["file_table"])
    assert [row.extent.label.name for row in table.rows()] == ["000000000/a", "a/b", "c"]


def test_a_long_list_of_parameters_does_not_ride_in_each_sync(master: Master) -> None:
    parameters: dict[str, list[str | int | float | bool]] = {"a": list(range(50)), "b": ["x", "y"]}
    submit(master, job_of(InputSpec(split="product", parameters=parameters, per_chunk=3)))
    (job,) = master.store.jobs.running_for("linux/amd64", 2**40, [])
    assert "parameters" not in job["spec"]["input"]
    volunteer = master.volunteer()
    leases = volunteer.send(volunteer.request(100)).leases
    assert [(lease.start, lease.stop) for lease in leases[-2:]] == [(96, 99), (99, 100)]


def test_jobs_that_ended_long_ago_are_not_looked_at_again(master: Master) -> None:
    for _ in range(5):
        job = master.submit(1)
        master.store.jobs.end(job, "cancelled", {})
        master.store.jobs.set_swept(job)
    master.store.jobs.end(job := master.submit(1), "cancelled", {})
    assert master.store.jobs.unswept() == [job]
    plan = master.store.jobs._jobs.find({"swept": False}, {"_id": 1}).explain()
    assert plan["executionStats"]["totalDocsExamined"] == 1


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"input": InputSpec(split="range", stop=3, chunk_size=2**63)},
        {"input": InputSpec(split="range", stop=3, files_per_chunk=2**63)},
        {"input": InputSpec(split="range", stop=3, record_size=-(2**63))},
        {"plots": [PlotSpec(kind="bar", top=2**63)]},
        {"verify": VerifySpec(compare="csv", columns={"a\0b": ColumnRule()})},
    ],
)
def test_values_that_cannot_be_stored_are_refused(master: Master, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidJob):
        submit(master, msgspec.structs.replace(job_of(InputSpec(split="range", stop=3)), **fields))


def test_columns_may_have_any_name(master: Master, housekeeping: Housekeeping) -> None:
    columns = dict.fromkeys(("a.b", "$x", "", "$set.a"), ColumnRule())
    verify = VerifySpec(policy="none", compare="csv", columns=columns)
    run(
        master,
        housekeeping,
        submit(master, job_of(InputSpec(split="range", stop=3), verify=verify)),
        master.volunteer(),
    )


def test_every_state_of_every_job_can_be_explained(master: Master, housekeeping: Housekeeping) -> None:
    def job_with(reduce: ReduceSpec | None = None, **fields: object) -> JobSpec:
        return job_of(InputSpec(split="lines", chunk_size=800), reduce=reduce, **fields)

    file = uploaded(master, "x", LINES)
    tree = job_with(ReduceSpec(command=["sum"], fan_in=2), reuse=True)
    first = submit(master, tree, file)
    jobs = [
        first,
        submit(master, tree, InputFile(name="x", job=first)),
        submit(master, job_with(ReduceSpec(command=["sum"], partitions=2)), file),
        submit(master, job_with(ReduceSpec(command=["r"]), map=ProgramSpec(command=["m"], outputs=["a", "b"])), file),
    ]
    explaining = Explaining(master.store, master.sync._inputs.sources, 60)
    volunteer = worker(master, total)
    for _ in range(12):
        for job in jobs:
            document = document_of(master, job)
            describing.job(document, master.store.clients.alive_since(0))
            assert explaining.explain(job).sentence
            for stage in range(len(document["stages"])):
                for index in (0, 1, 4, 10**11):
                    assert " -" not in explaining.explain(f"{job}.{stage}.{index:012d}").sentence
        volunteer.work(2)
        housekeeping.round(master.store.duties.now())


def test_a_tree_shows_its_own_results_while_it_runs(master: Master, housekeeping: Housekeeping) -> None:
    """Not those of its check, which reduce the first ones twice."""
    spec = job_of(InputSpec(split="lines", chunk_size=800), reduce=ReduceSpec(command=["sum"], fan_in=2))
    job = submit(master, spec, uploaded(master, "x", LINES))
    results, volunteer = Results(master.store, master.sync._inputs.sources), worker(master, total)
    while (document := document_of(master, job))["state"] == "running":
        so_far = results.so_far(document)
        assert (so_far.results, so_far.reader.size) == (0, 0)
        volunteer.work(1)
        housekeeping.round(master.store.duties.now())
    assert document["state"] == "completed"


def test_a_chunk_on_its_way_has_none_before_it() -> None:
    assert "handed out" in reasons.unborn(3, issued=5, limit=9, total=9)
    assert " -" not in reasons.unborn(3, issued=5, limit=9, total=9)
