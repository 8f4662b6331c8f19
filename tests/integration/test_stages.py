"""From inputs of every kind to one result: splits, partitions, trees, chaining and reuse, with simulated workers."""

import csv
import io
from collections.abc import Callable, Iterator

import msgspec
import pytest

from dockercomp.protocol import bundle
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.partition import partition
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.housekeeping import Housekeeping
from server.settings import Settings
from server.store import Store
from server.store.blobs import stream
from tests.integration.simulated import Master, Volunteer

Compute = Callable[[int, list[bytes]], bytes]
"""From the stage and the pieces of a chunk's input (one where it is plain bytes) to its result."""

CAT = ProgramSpec(command=["cat"])


@pytest.fixture
def master(store: Store) -> Iterator[Master]:
    yield Master(store)


@pytest.fixture
def housekeeping(master: Master, settings: Settings) -> Housekeeping:
    return Housekeeping(master.store, settings)


def uploaded(master: Master, name: str, data: bytes) -> InputFile:
    return InputFile(name=name, digest=master.store.blobs.put(data), size=len(data))


def job_of(split: InputSpec, *, reduce: ReduceSpec | None = None, **fields: object) -> JobSpec:
    asked = {"map": CAT, "verify": VerifySpec(policy="none"), "reuse": False, **fields}
    return JobSpec(name="x", image="i", input=split, reduce=reduce, **asked)  # type: ignore[arg-type]


def submit(master: Master, spec: JobSpec, *inputs: InputFile, key: str = "") -> str:
    return str(master.submission.submit("ada", SubmitRequest(spec=spec, inputs=list(inputs)), key)["_id"])


def input_of(master: Master, lease: Lease) -> list[bytes]:
    """What a lease reads, piece by piece."""
    inputs = master.sync._inputs
    chunk = master.store.chunks.by_id(lease.id.split(".", 1)[1].rsplit(".", 1)[0])
    job = master.store.jobs.by_id(lease.job)
    assert chunk is not None and job is not None
    opened = inputs.open(job, msgspec.convert(job["spec"], JobSpec), chunk)
    assert opened is not None
    data = opened.read_at(0, opened.size)
    if lease.input is not None:
        assert (lease.input, lease.pieces) == (data, opened.pieces)
    if opened.pieces is None:
        return [data]
    parts, at = [], 0
    for piece in opened.pieces:
        parts.append(data[at : at + piece.size])
        at += piece.size
    assert at == len(data)
    return parts


def worker(master: Master, compute: Compute) -> Volunteer:
    return master.volunteer(lambda lease: compute(lease.stage, input_of(master, lease)))


def run(master: Master, housekeeping: Housekeeping, job: str, *workers: Volunteer, want: int = 20) -> bytes:
    """Work until the job has ended; its result."""
    for _ in range(100):
        document = master.store.jobs.by_id(job)
        assert document is not None
        if document["state"] != "running":
            assert document["state"] == "completed", document["error"]
            return b"".join(stream(master.sync._inputs.results(document["result"]["manifest"])))
        for each in workers:
            each.work(want)
        housekeeping.round(master.store.duties.now())
    raise AssertionError(f"the job does not end: {document}")


def join(_: int, pieces: list[bytes]) -> bytes:
    return b"".join(pieces)


def total(stage: int, pieces: list[bytes]) -> bytes:
    """Adds up: associative, its output is its own input format."""
    return b"%d\n" % sum(int(line) for piece in pieces for line in piece.split())


LINES = b"".join(b"%d\n" % n for n in range(1000))


@pytest.mark.parametrize("fan_in", [0, 2, 3, 7, 1000])
def test_a_tree_gives_what_a_flat_reduce_gives(master: Master, housekeeping: Housekeeping, fan_in: int) -> None:
    reduce = ReduceSpec(command=["sum"], fan_in=fan_in)
    job = submit(master, job_of(InputSpec(split="lines", chunk_size=200), reduce=reduce), uploaded(master, "x", LINES))
    assert run(master, housekeeping, job, worker(master, total)) == b"%d\n" % sum(range(1000))


def test_a_reducer_of_a_tree_begins_before_the_map_is_complete(master: Master, housekeeping: Housekeeping) -> None:
    spec = job_of(InputSpec(split="range", stop=8), reduce=ReduceSpec(command=["sum"], fan_in=2))
    job = submit(master, spec)
    one = master.volunteer()
    one.work(3)  # chunks 0, 1, 2
    one.work(0)
    housekeeping.round(master.store.duties.now())
    two = master.volunteer()
    leases = two.send(two.request(3)).leases
    assert {(lease.stage, lease.index) for lease in leases} == {(1, 0), (4, 0), (4, 1)}, "it, and its check"
    document = master.store.jobs.by_id(job)
    assert document is not None and document["stages"]["1"]["limit"] == 1, "its second input is not accepted yet"


def test_a_reducer_that_is_not_associative_though_declared_so(master: Master, housekeeping: Housekeeping) -> None:
    """A mean of means is not the mean: found on a sample, however the levels come out."""

    def mean(stage: int, pieces: list[bytes]) -> bytes:
        numbers = [float(line) for piece in pieces for line in piece.split()]
        return f"{sum(numbers) / len(numbers):.6f}\n".encode()

    spec = job_of(InputSpec(split="lines", chunk_size=200), reduce=ReduceSpec(command=["mean"], fan_in=5))
    job = submit(master, spec, uploaded(master, "x", LINES))
    with pytest.raises(AssertionError, match="not associative, though fan_in says so: the first 5 results"):
        run(master, housekeeping, job, worker(master, mean))


def by_key(partitions: int) -> Compute:
    """A word a line, shared out by key; reducers sort."""

    def compute(stage: int, pieces: list[bytes]) -> bytes:
        if stage:
            return b"".join(sorted(b"".join(pieces).splitlines(keepends=True)))
        lines = b"".join(pieces).splitlines(keepends=True)
        sections = [b"".join(line for line in lines if partition(line, partitions) == r) for r in range(partitions)]
        return bundle.pack([(str(number), section) for number, section in enumerate(sections)])

    return compute


@pytest.mark.parametrize("partitions", [2, 5])
def test_partitions_and_the_sorted_merge_of_what_they_gave(
    master: Master, housekeeping: Housekeeping, partitions: int
) -> None:
    reduce = ReduceSpec(command=["sort"], partitions=partitions, sort=True)
    spec = job_of(InputSpec(split="lines", chunk_size=150), reduce=reduce)
    job = submit(master, spec, uploaded(master, "x", LINES))
    result = run(master, housekeeping, job, worker(master, by_key(partitions)))
    assert result == b"".join(sorted(LINES.splitlines(keepends=True)))


def test_a_reducer_for_each_pattern_of_outputs(master: Master, housekeeping: Housekeeping) -> None:
    """Each gets the files of its own pattern, in chunk order; files of no pattern go to nobody."""

    def compute(stage: int, pieces: list[bytes]) -> bytes:
        if stage:
            return b"|".join(pieces) + b"\n"
        (name,) = pieces
        return bundle.pack([(f"out/{name.decode()}.{kind}", kind.encode() + name) for kind in ("a", "b", "c")])

    spec = job_of(
        InputSpec(split="files"),
        map=ProgramSpec(command=["m"], outputs=["out/*.a", "out/*.b"]),
        reduce=ReduceSpec(command=["r"]),
    )
    files = [uploaded(master, f"day {n} #ü.zip", b"%d" % n) for n in range(3)]
    job = submit(master, spec, *files)
    assert run(master, housekeeping, job, worker(master, compute)) == b"a0|a1|a2\nb0|b1|b2\n"


def test_a_result_that_is_no_bundle_ends_the_job_with_the_reason(master: Master, housekeeping: Housekeeping) -> None:
    spec = job_of(InputSpec(split="lines"), reduce=ReduceSpec(command=["r"], partitions=2))
    job = submit(master, spec, uploaded(master, "x", b"a\n"))
    with pytest.raises(AssertionError, match="result of chunk 0 is no bundle"):
        run(master, housekeeping, job, worker(master, join))


def test_each_chunk_of_csv_has_the_header_and_whole_records(master: Master, housekeeping: Housekeeping) -> None:
    text = io.StringIO(newline="")
    rows = [["id", "text"], *([str(n), 'a "quoted"\nword, ' * (n % 4)] for n in range(200))]
    csv.writer(text, lineterminator="\n").writerows(rows)
    seen: list[list[str]] = []

    def compute(_: int, pieces: list[bytes]) -> bytes:
        found = list(csv.reader(io.StringIO(pieces[0].decode(), newline="")))
        assert found[0] == rows[0]
        seen.extend(found[1:])
        return b""

    spec = job_of(InputSpec(split="csv", chunk_size=64))
    job = submit(master, spec, uploaded(master, "x.csv", text.getvalue().encode()))
    run(master, housekeeping, job, worker(master, compute))
    assert sorted(seen, key=lambda row: int(row[0])) == rows[1:]


def test_a_csv_that_ends_within_quotes_is_refused(master: Master) -> None:
    with pytest.raises(InvalidJob, match="ends within quotes"):
        submit(master, job_of(InputSpec(split="csv", chunk_size=4)), uploaded(master, "x", b'a,b\n1,"2\n'))


def test_many_small_files_travel_as_one_upload_and_a_list(master: Master, housekeeping: Housekeeping) -> None:
    names = [f"f{n:05d} ä#" for n in range(2500)]
    data = b"".join(name.encode() for name in names)
    digest, at, lines = master.store.blobs.put(data), 0, []
    for name in names:
        size = len(name.encode())
        lines.append(msgspec.json.encode(InputFile(name=name, digest=digest, size=size, offset=at)))
        at += size
    spec = job_of(InputSpec(split="files", files_per_chunk=100))

    def ask(listed: list[bytes]) -> str:
        request = SubmitRequest(spec=spec, input_list=master.store.blobs.put(b"\n".join(listed)))
        return str(master.submission.submit("ada", request, "")["_id"])

    leases = master.volunteer().send(master.volunteer().request(0)).leases
    assert leases == []
    assert run(master, housekeeping, ask(lines), worker(master, join)) == data
    with pytest.raises(InvalidJob, match="not in the order of names"):
        ask(lines[::-1])
    with pytest.raises(InvalidJob, match="line 2:"):
        ask([lines[0], b"{}x"])


def test_a_jobs_result_is_the_input_of_the_next_even_before_it_is_there(
    master: Master, housekeeping: Housekeeping
) -> None:
    first = submit(master, job_of(InputSpec(split="lines", chunk_size=500)), uploaded(master, "x", LINES))
    spec = job_of(InputSpec(split="lines", chunk_size=300), reduce=ReduceSpec(command=["sum"]))
    second = submit(master, spec, InputFile(name="before", job=first))
    housekeeping.round(master.store.duties.now())
    waiting = master.store.jobs.by_id(second)
    assert waiting is not None and waiting["waits_for"] == [first]
    one = worker(master, join)
    assert run(master, housekeeping, first, one) == LINES
    assert run(master, housekeeping, second, worker(master, total)) == b"%d\n" % sum(range(1000))


def test_the_files_of_a_result_are_the_files_of_the_next_job(master: Master, housekeeping: Housekeeping) -> None:
    def compute(_: int, pieces: list[bytes]) -> bytes:
        return bundle.pack([("a.txt", b"A" + pieces[0]), ("b.txt", b"B")])

    files = [uploaded(master, f"{n}", b"%d" % n) for n in range(2)]
    first = submit(master, job_of(InputSpec(split="files"), map=ProgramSpec(command=["m"], outputs=["*"])), *files)
    run(master, housekeeping, first, worker(master, compute))
    second = submit(master, job_of(InputSpec(split="files")), InputFile(name="in", job=first))
    assert run(master, housekeeping, second, worker(master, join)) == b"A0BA1B"


def test_a_job_whose_input_never_comes_fails_with_the_reason(master: Master, housekeeping: Housekeeping) -> None:
    first = submit(master, job_of(InputSpec(split="range", stop=3)))
    second = submit(master, job_of(InputSpec(split="lines")), InputFile(name="x", job=first))
    master.store.jobs.end(first, "cancelled", {"error": ""})
    housekeeping.round(master.store.duties.now())
    ended = master.store.jobs.by_id(second)
    assert ended is not None and (ended["state"], first in ended["error"]) == ("failed", True)


def computed(volunteer: Volunteer) -> Callable[[], int]:
    counted = [0]
    inner = volunteer.program

    def program(lease: Lease) -> bytes:
        counted[0] += 1
        return inner(lease)

    volunteer.program = program
    return lambda: counted[0]


def test_what_was_computed_before_is_taken_from_the_store(master: Master, housekeeping: Housekeeping) -> None:
    spec = job_of(InputSpec(split="lines", chunk_size=500), reuse=True)
    one, two = uploaded(master, "one", LINES), uploaded(master, "two", LINES[:1500])
    first = run(master, housekeeping, submit(master, spec, one), worker(master, join))

    again = submit(master, spec, one)
    assert run(master, housekeeping, again) == first, "without any worker"

    more = worker(master, join)
    count = computed(more)
    appended = submit(master, spec, two, one)
    assert run(master, housekeeping, appended, more) == LINES[:1500] + LINES
    assert count() == 3, "only the chunks of the new file"
    document = master.store.jobs.by_id(appended)
    assert document is not None and document["reused"] == 8

    other = worker(master, join)
    count = computed(other)
    run(master, housekeeping, submit(master, msgspec.structs.replace(spec, reuse=False), one), other)
    assert count() == 8


@pytest.mark.parametrize(
    "change",
    [
        {"map": ProgramSpec(command=["other"])},
        {"environment": {"X": "1"}},
        {"input": InputSpec(split="lines", chunk_size=501)},
        {"verify": VerifySpec(quorum=2)},
    ],
)
def test_nothing_is_reused_of_what_was_made_otherwise(
    master: Master, housekeeping: Housekeeping, change: dict[str, object]
) -> None:
    spec = job_of(InputSpec(split="lines", chunk_size=500), reuse=True)
    file = uploaded(master, "x", LINES)
    run(master, housekeeping, submit(master, spec, file), worker(master, join))
    job = submit(master, msgspec.structs.replace(spec, **change), file)
    document = master.store.jobs.by_id(job)
    assert document is not None and not document.get("reused")


def test_a_wider_range_reuses_the_numbers_of_the_narrower(master: Master, housekeeping: Housekeeping) -> None:
    def numbers(start: int, stop: int) -> JobSpec:
        return job_of(InputSpec(split="range", start=start, stop=stop, per_chunk=5), reuse=True)

    run(master, housekeeping, submit(master, numbers(10, 32)), master.volunteer())
    volunteer = master.volunteer()
    count = computed(volunteer)
    result = run(master, housekeeping, submit(master, numbers(0, 35)), volunteer)
    assert count() == 3, "0-5, 5-10, and 30-35, of which only 30-32 was computed before"
    assert result.splitlines() == [b"%d-%d" % (n, n + 5) for n in range(0, 35, 5)]


def test_corrupted_sizes_of_inputs_are_refused(master: Master) -> None:
    file = uploaded(master, "x", b"abc")
    for wrong in ({"size": 4}, {"offset": 1}, {"offset": -1, "size": 1}, {"digest": "0" * 64}, {"job": "j1"}):
        with pytest.raises(InvalidJob):
            submit(master, job_of(InputSpec(split="lines")), msgspec.structs.replace(file, **wrong))
