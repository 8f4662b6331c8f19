"""People as voters: over the same chunks and quorums as clients, on a real store."""

import pytest

from dockercomp.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.inputs import Inputs
from server.labelling import Labelling, Question, Voter
from server.results import Results
from server.sources import Sources
from server.stages import Stages
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master

ADA, BOB, EVE = Voter.signed_in("ada"), Voter.signed_in("bob.b@example.org"), Voter.visitor("0123abcd")


@pytest.fixture
def labelling(store: Store) -> Labelling:
    return Labelling(store, Inputs(store))


def submit(
    store: Store,
    files: int = 2,
    choices: tuple[str, ...] = ("cat", "dog"),
    quorum: int = 2,
    reduce: ReduceSpec | None = None,
) -> str:
    spec = JobSpec(
        name="labels",
        image="i" if reduce else "",
        reduce=reduce,
        input=InputSpec(split="files"),
        map=ProgramSpec(question="What is it?", choices=list(choices)),
        verify=VerifySpec(quorum=quorum),
    )
    inputs = [
        InputFile(name=f"pictures/{n}.txt", digest=store.blobs.put(f"picture {n}".encode()), size=9)
        for n in range(files)
    ]
    return str(Master(store).submission.submit("sam", SubmitRequest(spec=spec, inputs=inputs), "")["_id"])


def ask(labelling: Labelling, job: str, voter: Voter) -> Question:
    question = labelling.next(job, voter)
    assert question is not None
    return question


def job_of(store: Store, job: str) -> Document:
    found = store.jobs.by_id(job)
    assert found is not None
    return found


def advance(store: Store, job: str) -> Document:
    """As housekeeping does."""
    sources = Sources(store)
    for _ in range(3):
        Stages(store, sources).advance(job_of(store, job))
    return job_of(store, job)


def test_a_quorum_of_people_gives_the_result_in_the_order_of_files(store: Store, labelling: Labelling) -> None:
    job = submit(store)
    seen: set[str] = set()
    for voter in (ADA, BOB):
        while (question := labelling.next(job, voter)) is not None:
            seen.add(question.name)
            picture = question.content.read_at(0, question.content.size)
            assert labelling.answer(voter, question.lease, "cat" if picture == b"picture 0" else "dog") == "counted"
    assert seen == {"pictures/0.txt", "pictures/1.txt"}
    done = advance(store, job)
    assert done["state"] == "completed"
    whole = Results(store, Sources(store)).whole(done)
    assert whole.read_at(0, whole.size) == b"cat\ndog\n"
    assert done["counters"]["accepted_0"] == 2 and done["counters"]["returned"] == 4


def test_nobody_votes_twice_and_an_answer_counts_once(store: Store, labelling: Labelling) -> None:
    job = submit(store, files=1)
    question = ask(labelling, job, ADA)
    assert ask(labelling, job, ADA).lease == question.lease
    assert labelling.answer(ADA, question.lease, "cat") == "counted"
    assert labelling.answer(ADA, question.lease, "cat") == "counted"
    assert labelling.next(job, ADA) is None
    assert job_of(store, job)["counters"]["returned"] == 1
    with pytest.raises(Forbidden):
        labelling.answer(BOB, question.lease, "cat")


def test_the_outvoted_is_shown_and_a_third_decides(store: Store, labelling: Labelling) -> None:
    job = submit(store, files=1)
    for voter, answer in ((ADA, "cat"), (EVE, "dog"), (BOB, "cat")):
        assert labelling.answer(voter, ask(labelling, job, voter).lease, answer) == "counted"
    chunk = store.chunks.by_id(f"{job}.0.000000000000")
    assert chunk is not None and chunk.state == "accepted"
    assert [(r.client, r.wrong) for r in chunk.replicas] == [(ADA.id, False), (EVE.id, True), (BOB.id, False)]


def test_people_who_never_agree_do_not_hold_the_others_up(store: Store, labelling: Labelling) -> None:
    job = submit(store, files=1, choices=())
    for number in range(8):
        voter = Voter.visitor(f"{number}")
        labelling.answer(voter, ask(labelling, job, voter).lease, f"  word \t {number} ")
    done = advance(store, job)
    assert done["state"] == "failed" and "8 answers and no 2 of them are equal: people do not agree" in done["error"]


def test_a_skipped_question_goes_to_others_and_another_is_asked(store: Store, labelling: Labelling) -> None:
    job = submit(store)
    first = ask(labelling, job, ADA)
    index = labelling.skip(ADA, first.lease)
    assert index is not None
    other = labelling.next(job, ADA, skipped=[index])
    assert other is not None and other.name != first.name
    labelling.answer(ADA, other.lease, "dog")
    assert labelling.next(job, ADA, skipped=[index]) is None
    assert ask(labelling, job, ADA).name == first.name
    assert {ask(labelling, job, BOB).name, ask(labelling, job, EVE).name} == {first.name, other.name}


def test_an_answer_must_be_one_of_the_choices(store: Store, labelling: Labelling) -> None:
    job = submit(store)
    question = ask(labelling, job, ADA)
    for wrong in ("", "bird", "cat\ndog"):
        with pytest.raises(BadRequest):
            labelling.answer(ADA, question.lease, wrong)
    assert labelling.answer(ADA, question.lease, "cat") == "counted"


def test_what_is_asked_is_shown_only_to_who_holds_it(store: Store, labelling: Labelling) -> None:
    job = submit(store, files=1)
    question = ask(labelling, job, ADA)
    assert labelling.content(job, ADA, question.lease).size == 9
    with pytest.raises(Forbidden):
        labelling.content(job, BOB, question.lease)
    labelling.answer(ADA, question.lease, "cat")
    with pytest.raises(Conflict):
        labelling.content(job, ADA, question.lease)


def test_workers_never_get_questions_and_are_told_why(store: Store, labelling: Labelling) -> None:
    job = submit(store)
    worker = Master(store).volunteer()
    answer = worker.work(5)
    assert answer.leases == [] and answer.why_idle == f"job {job} asks people, not machines"
    ask(labelling, job, ADA)
    assert worker.work(5).leases == []


def test_machines_reduce_what_people_answered(store: Store, labelling: Labelling) -> None:
    job = submit(store, quorum=1, reduce=ReduceSpec(command=["sort"]))
    master = Master(store)
    worker = master.volunteer(lambda lease: b"reduced\n")
    assert worker.work().leases == []
    while (question := labelling.next(job, ADA)) is not None:
        labelling.answer(ADA, question.lease, "cat")
    advance(store, job)
    (lease,) = worker.work().leases
    assert lease.stage == 1 and labelling.next(job, BOB) is None
    worker.work()
    done = advance(store, job)
    whole = Results(store, Sources(store)).whole(done)
    assert whole.read_at(0, whole.size) == b"reduced\n"


def test_a_job_that_asks_nobody_has_no_questions(store: Store, labelling: Labelling) -> None:
    machines = Master(store).submit(2)
    assert labelling.jobs() == []
    with pytest.raises(NotFound):
        labelling.next(machines, ADA)
    job = submit(store)
    assert [each["_id"] for each in labelling.jobs()] == [job]
    store.jobs.end(job, "cancelled", {})
    assert labelling.next(job, ADA) is None
