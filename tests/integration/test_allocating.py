"""What a client is given, and its way there: over syncs of simulated workers, on a real database."""

import threading
from fnmatch import fnmatchcase
from typing import Any

import pytest
from msgspec.structs import replace

from dockercomp import __version__
from dockercomp.protocol.errors import InvalidAllocation, PreconditionFailed
from dockercomp.protocol.messages import AppliedAllocation, ContainerReport, EnrolRequest, PartReport, SyncAnswer
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ResourcesSpec, VerifySpec
from dockercomp.protocol.views import AllocationChange, ClientView, Progress, SubmitRequest
from server import describing, pace, pausing
from server.allocating import Allocating
from server.dashboard import wording
from server.explaining import Explaining
from server.housekeeping import Housekeeping
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from server.store import allocations as store_allocations
from server.store.connection import Document
from tests.integration.simulated import CEILING, MACHINE, Master, Volunteer

MIB = 2**20
CHANGE = AllocationChange(containers=2, cpus=1.0, memory=256 * MIB)


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


def document(master: Master, volunteer: Volunteer) -> Document:
    found = master.store.clients.by_id(volunteer.id)
    assert found is not None
    return found


def view(master: Master, volunteer: Volunteer) -> ClientView:
    return describing.client(document(master, volunteer), master.store.duties.now(), 15)


def progress(master: Master, volunteer: Volunteer) -> Progress:
    found = view(master, volunteer).progress
    assert found is not None
    return found


def applied(answer: SyncAnswer, state: str = "verified", why: str = "") -> AppliedAllocation:
    """What a worker makes of the allocation of that answer."""
    given = answer.allocation
    names: list[Any] = ["containers", "cpus", "memory"]
    told: list[Any] = ["applied", state, state]
    parts = [PartReport(part=part, state=each, why=why) for part, each in zip(names, told, strict=True)]
    verified = state == "verified"
    return AppliedAllocation(
        version=given.version,
        containers=given.containers,
        cpus=given.cpus,
        memory=given.memory,
        verified=verified,
        parts=parts,
    )


def sync(volunteer: Volunteer, told: AppliedAllocation | None = None, **fields: Any) -> SyncAnswer:
    return volunteer.send(replace(volunteer.request(0), applied=told, **fields))


def container(state: Any = "idle") -> ContainerReport:
    return ContainerReport(name="dc-1", id="1", job="j1", state=state, image="i")


def test_a_change_is_followed_from_wanted_to_verified_and_kept(master: Master) -> None:
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    first = sync(volunteer)
    assert first.worker_version == __version__
    given = allocating.allocate(document(master, volunteer), CHANGE, 1, "root")
    assert given.version == 2 and progress(master, volunteer).author == "root"
    assert {part.state for part in progress(master, volunteer).parts} == {"wanted"}

    answer = sync(volunteer, applied(first))
    assert answer.allocation == given
    now = progress(master, volunteer)
    assert now.sent_s_ago is not None and now.received_s_ago is None
    assert {part.state for part in now.parts} == {"sent"}

    sync(volunteer, applied(answer, "waiting", "waits for the end of a chunk"))
    now = progress(master, volunteer)
    assert now.received_s_ago is not None and now.applied_s_ago is None
    waiting = next(part for part in now.parts if part.part == "memory")
    assert (waiting.state, waiting.why) == ("waiting", "waits for the end of a chunk")

    sync(volunteer, applied(answer), containers=[container()])
    now = progress(master, volunteer)
    assert now.applied_s_ago is not None and now.verified_s_ago is not None

    sync(volunteer, applied(answer, "failed", "Docker: no such device"), containers=[container()])
    now = progress(master, volunteer)
    assert now.applied_s_ago is None and now.verified_s_ago is None, "it is not so any more"

    newest, oldest = allocating.history(volunteer.id, None, 10)
    assert (newest.allocation, newest.author) == (given, "root")
    assert newest.at <= newest.sent <= newest.received <= newest.applied <= newest.verified, "as it first was"
    assert oldest.author == "the first contact" and oldest.allocation.version == 1 and oldest.verified == ""
    assert allocating.history(volunteer.id, 2, 10) == [oldest]


def test_what_was_given_before_there_was_a_history_begins_it(master: Master) -> None:
    volunteer, clients = master.volunteer(), master.store.database["clients"]
    master.store.database["allocations"].delete_many({})
    clients.update_one({"_id": volunteer.id}, {"$unset": {"wanted_at": 1, "author": 1, "group": 1, "follows": 1}})
    sync(volunteer)
    (record,) = Allocating(master.store).history(volunteer.id, None, 10)
    assert wording.when(record.at).endswith("UTC") and record.author == "the first contact"


def test_a_normal_sync_writes_nothing_more_than_before(master: Master) -> None:
    volunteer = master.volunteer()
    answer = sync(volunteer)
    told = applied(answer)
    sync(volunteer, told, containers=[container()])
    history = master.store.database["allocations"]
    history.delete_many({})
    sync(volunteer, told, containers=[container()])
    assert history.count_documents({}) == 0, "where nothing moves, nothing is noted"


def test_no_client_is_asked_to_wait_longer_than_it_is_waited_for(
    master: Master, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "COUNTED_EVERY_S", 0.0)
    monkeypatch.setattr(master.store.clients, "count_alive", lambda now: 3000)
    volunteer = master.volunteer()
    for _ in range(2):  # the first of them finds out how many there are
        pause = sync(volunteer).call_again_s
        assert pause <= 5 + document(master, volunteer)["patience"]
    assert pause == pace.LONGEST_S


def test_a_machine_that_comes_back_after_weeks_is_not_retired_before_its_first_sync(master: Master) -> None:
    clients, fortnight = master.store.clients, 14 * 86_400
    request = EnrolRequest(token=master.token, machine=MACHINE, ceiling=CEILING, request="the same")
    client = master.enrolment.enrol(request, "").client
    now = master.store.duties.now()
    master.store.database["clients"].update_one({"_id": client}, {"$set": {"seen": now - 2 * fortnight}})
    assert clients.retire(now - fortnight) == 1
    assert master.enrolment.enrol(request, "").client == client
    assert clients.retire(now - fortnight) == 0


def test_of_two_admins_the_second_is_told(master: Master) -> None:
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    seen, begin = document(master, volunteer), threading.Barrier(8)
    outcomes: list[str] = []

    def change(number: int) -> None:
        begin.wait()
        try:
            allocating.allocate(seen, replace(CHANGE, containers=number % 4 + 1, cpus=0.5), 1, f"admin {number}")
            outcomes.append("given")
        except PreconditionFailed:
            outcomes.append("changed meanwhile")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["changed meanwhile"] * 7 + ["given"]
    assert len(allocating.history(volunteer.id, None, 100)) == 2
    later = allocating.allocate(seen, CHANGE, None, "root")
    assert later.version == 3, "without a version the last word counts"


def test_what_is_impossible_is_refused_and_nothing_changes(master: Master) -> None:
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    before = document(master, volunteer)
    for change in (replace(CHANGE, cpus=float("nan")), replace(CHANGE, containers=5), replace(CHANGE, memory=3 << 30)):
        with pytest.raises(InvalidAllocation):
            allocating.allocate(before, change, None, "root")
    assert document(master, volunteer) == before


def test_history_is_bounded(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = 6
    monkeypatch.setattr(store_allocations, "KEPT", kept)
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    for number in range(kept + 5):
        change = replace(CHANGE, containers=number % 4 + 1, cpus=0.5)
        allocating.allocate(document(master, volunteer), change, None, "root")
    found = allocating.history(volunteer.id, None, 1000)
    newest = kept + 6
    assert [each.allocation.version for each in found] == list(range(newest, newest - kept, -1))


def test_what_somebody_else_changed_is_told_with_its_time_and_once(master: Master) -> None:
    volunteer = master.volunteer()
    answer = sync(volunteer)
    drift = applied(answer, why="Cut by the ceiling. put right: 4 CPUs, planned 1")
    sync(volunteer, drift, containers=[container()])
    first = document(master, volunteer)["drifted"]
    sync(volunteer, drift, containers=[container()])
    assert document(master, volunteer)["drifted"] == first
    sync(volunteer, applied(answer), containers=[container()])
    assert progress(master, volunteer).drifted.startswith("put right: 4 CPUs, planned 1 (")
    sync(volunteer, drift, containers=[container()])
    assert document(master, volunteer)["drifted"]["at"] > first["at"], "the same again is another event"


def test_problems_are_shown_and_go_when_they_are_mended(master: Master) -> None:
    volunteer = master.volunteer()
    sync(volunteer, problems=["configuration, line 3: DC_CPUS=many is not used"])
    assert view(master, volunteer).problems == ["configuration, line 3: DC_CPUS=many is not used"]
    found = master.store.clients.needing_attention(0, 10)
    assert [each["_id"] for each in found] == [volunteer.id]
    sync(volunteer)
    assert view(master, volunteer).problems == []


def test_a_worker_of_another_version_is_called_old(master: Master) -> None:
    volunteer = master.volunteer()
    sync(volunteer, machine=replace(MACHINE, worker=__version__))
    assert not view(master, volunteer).old
    sync(volunteer, machine=replace(MACHINE, worker="0.0.1"))
    assert view(master, volunteer).old


def test_explain_tells_what_is_wrong_with_what_a_client_is_given(master: Master) -> None:
    volunteer = master.volunteer()
    volunteer.machine = replace(MACHINE, worker="0.0.1")
    answer = sync(volunteer)
    sync(volunteer, applied(answer, "failed", "Docker: no such device"), problems=["line 3: DC_CPUS=many is not used"])
    told = Explaining(master.store, Sources(master.store), 15).explain(volunteer.id)
    facts = "\n".join(told.facts)
    assert "cpus failed: Docker: no such device" in facts and "problem there: line 3" in facts
    assert "its worker is of version 0.0.1" in facts and "installer.sh" in facts
    Allocating(master.store).allocate(document(master, volunteer), replace(CHANGE, paused=True), None, "root")
    why = Explaining(master.store, Sources(master.store), 15).explain(volunteer.id).sentence
    assert "paused by the admin" in why and f"dockercomp allocate {volunteer.id} --resume" in why


def test_odd_values_of_a_client_never_hide_it(master: Master) -> None:
    volunteer = master.volunteer()
    odd = {
        "machine": {"hostname": 7, "disk_free": "much"},
        "applied": {"version": "?"},
        "ceiling": [],
        "containers": [3],
    }
    master.store.database["clients"].update_one({"_id": volunteer.id}, {"$set": odd})
    found = view(master, volunteer)
    assert (found.machine, found.applied, found.ceiling, found.containers) == (None, None, None, [])
    assert found.progress is not None and found.progress.version == 1


def test_a_raised_ceiling_reaches_who_was_never_changed_by_hand(master: Master) -> None:
    volunteer, other = master.volunteer(), master.volunteer()
    Allocating(master.store).allocate(document(master, other), CHANGE, None, "root")
    more = replace(CEILING, cpus=8, memory=8 << 30)
    for each in (volunteer, other):
        sync(each)
    changed = sync(volunteer, ceiling=more, machine=replace(MACHINE, cpus=8)).allocation
    assert (changed.version, changed.cpus, changed.memory) == (2, 2.0, 2 << 30)
    assert sync(other, ceiling=more, machine=replace(MACHINE, cpus=8)).allocation.cpus == 1.0
    again = sync(volunteer, ceiling=more, machine=replace(MACHINE, cpus=8)).allocation
    assert again.version == 2, "said once more, it changes nothing"


# --- what it may run -------------------------------------------------------------------------------------------------


def submit(master: Master, name: str, **resources: Any) -> str:
    spec = JobSpec(
        name=name,
        image="i",
        input=InputSpec(split="range", start=0, stop=5, per_chunk=1),
        map=ProgramSpec(command=["true"]),
        verify=VerifySpec(policy="none"),
        resources=ResourcesSpec(**resources),
    )
    return str(master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])


def test_only_jobs_that_are_allowed_are_given(master: Master) -> None:
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    words, pictures = submit(master, "wordcount"), submit(master, "pictures")
    allocating.allocate(document(master, volunteer), replace(CHANGE, jobs=["word*"]), None, "root")
    answer = volunteer.send(volunteer.request(10))
    assert {lease.job for lease in answer.leases} == {words}
    allocating.allocate(document(master, volunteer), replace(CHANGE, jobs=[pictures]), None, "root")
    volunteer.held.clear()
    assert {lease.job for lease in volunteer.send(volunteer.request(10)).leases} == {pictures}
    allocating.allocate(document(master, volunteer), replace(CHANGE, jobs=["x"]), None, "root")
    volunteer.held.clear()
    idle = volunteer.send(volunteer.request(10))
    assert idle.leases == [] and "given jobs x only" in idle.why_idle


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("word*", {"wordcount"}), ("*t*", {"wordcount", "pictures"}), ("[!p]ord?ount", {"wordcount"}), ("p.ctures", set()),
     ("Word*", set()), ("w(o", set()), ("**", {"wordcount", "pictures", "no word"}), ("x\n*", set())],
)  # fmt: skip
def test_jobs_that_are_not_allowed_do_not_crowd_out_those_that_are(
    master: Master, pattern: str, found: set[str]
) -> None:
    for name in ("wordcount", "pictures", "no word"):
        submit(master, name)
    running = master.store.jobs.running_for("linux/amd64", 1 << 40, [], given=[pattern])
    assert {job["spec"]["name"] for job in running} == found
    assert {name for name in ("wordcount", "pictures", "no word") if fnmatchcase(name, pattern)} == found


def test_a_width_that_cannot_be_given_is_said(master: Master) -> None:
    volunteer, allocating = master.volunteer(), Allocating(master.store)
    job = submit(master, "wide", cpus=4.0, least_cpus=2.0)
    allocating.allocate(document(master, volunteer), CHANGE, None, "root")
    idle = volunteer.send(volunteer.request(10))
    assert idle.leases == [] and "needs 2 CPUs a container (least_cpus), this client can give one 1" in idle.why_idle
    allocating.allocate(document(master, volunteer), replace(CHANGE, policy="curve"), None, "root")
    assert {lease.job for lease in volunteer.send(volunteer.request(10)).leases} == {job}, "the whole budget counts"


def test_a_paused_client_gets_nothing_and_is_told_the_way_out(master: Master) -> None:
    volunteer = master.volunteer()
    job = submit(master, "wordcount")
    Allocating(master.store).allocate(document(master, volunteer), replace(CHANGE, paused=True), None, "root")
    idle = volunteer.send(volunteer.request(10))
    assert idle.leases == [] and "--resume" in idle.why_idle
    found = master.store.jobs.by_id(job)
    assert found is not None
    pool = master.store.clients.alive_since(master.store.duties.now() - 15)
    assert "paused by the admin" in describing.why_waiting(found, pool)


# --- pausing ---------------------------------------------------------------------------------------------------------


def aged(master: Master, volunteer: Volunteer, seconds: float) -> None:
    """As if the client's leases had been granted, and its pauses begun, so many seconds earlier."""
    store = master.store.database
    store["chunks"].update_many({}, {"$inc": {"replicas.$[].deadline": -seconds}})
    store["clients"].update_one({"_id": volunteer.id}, [
        {"$set": {"pauses": {"$map": {"input": {"$ifNull": ["$pauses", []]}, "in": {
            "start": {"$subtract": ["$$this.start", seconds]}, "stop": {"$subtract": ["$$this.stop", seconds]}}}}}}
    ])  # fmt: skip


def test_a_pause_makes_leases_last_longer_and_no_longer_than_a_week(master: Master, settings: Settings) -> None:
    volunteer = master.volunteer()
    submit(master, "wordcount", time_limit=60.0)
    granted = volunteer.send(volunteer.request(2))
    leases = {lease.id for lease in granted.leases}
    length = granted.leases[0].deadline_s

    def still_held() -> bool:
        state: Any = "paused"
        answer = sync(volunteer, containers=[container(state)])
        return not set(answer.cancelled) & leases

    assert still_held()
    aged(master, volunteer, length + 100)
    assert still_held(), "the pause went on all the while"
    Housekeeping(master.store, settings).round(document(master, volunteer)["seen"])
    assert still_held(), "nor does housekeeping end it"
    aged(master, volunteer, pausing.LONGEST_S)
    assert not still_held(), "but not for ever"


def test_a_lease_ends_at_its_time_where_nothing_stood_still(master: Master) -> None:
    volunteer = master.volunteer()
    submit(master, "wordcount", time_limit=60.0)
    granted = volunteer.send(volunteer.request(1))
    (lease,) = granted.leases
    sync(volunteer, containers=[container()])
    aged(master, volunteer, lease.deadline_s + 1)
    assert sync(volunteer, containers=[container()]).cancelled == [lease.id]
