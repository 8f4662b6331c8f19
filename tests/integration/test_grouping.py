"""Groups of clients: newcomers, tags, changes for many at once, and who follows; on a real database."""

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from pymongo import MongoClient, monitoring

from dockercomp.protocol.errors import BadRequest, InvalidAllocation, NotFound, PreconditionFailed
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.views import AllocationChange, GroupChange, GroupRule
from server.allocating import Allocating
from server.grouping import Grouping
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import CEILING, Master, Volunteer

MIB = 2**20
HALF = GroupChange(rule=GroupRule(), share=0.5)


@pytest.fixture
def master(store: Store) -> Master:
    return Master(store)


@pytest.fixture
def grouping(store: Store) -> Grouping:
    return Grouping(store, Allocating(store))


def document(master: Master, volunteer: Volunteer) -> Document:
    found = master.store.clients.by_id(volunteer.id)
    assert found is not None
    return found


def given(master: Master, volunteer: Volunteer) -> Allocation:
    return msgspec.convert(document(master, volunteer)["allocation"], Allocation)


def test_a_newcomer_gets_what_its_group_gives(master: Master, grouping: Grouping) -> None:
    before = master.volunteer()
    grouping.put("everybody", HALF, None, "root")
    newcomer = master.volunteer()
    for each in (before, newcomer):
        found = given(master, each)
        assert (found.containers, found.cpus, found.memory) == (4, 0.5, 512 * MIB)
        assert document(master, each)["author"] == "group everybody"
    assert given(master, newcomer).version == 1 and given(master, before).version == 2
    view = grouping.group("everybody")
    assert (view.version, view.author, view.members, view.following, view.verified) == (1, "root", 2, 2, 0)
    assert newcomer.send(newcomer.request(0)).allocation == given(master, newcomer)


def test_who_was_changed_alone_stays_as_it_is_until_it_follows_again(master: Master, grouping: Grouping) -> None:
    alone, other = master.volunteer(), master.volunteer()
    allocating = Allocating(master.store)
    change = AllocationChange(containers=1, cpus=0.25, memory=64 * MIB)
    allocating.allocate(document(master, alone), change, None, "root")
    grouping.put("everybody", HALF, None, "root")
    assert given(master, alone).cpus == 0.25 and given(master, other).cpus == 0.5
    assert grouping.group("everybody").following == 1
    followed = allocating.follow(document(master, alone), "ada")
    assert (followed.containers, followed.cpus, followed.version) == (4, 0.5, 3)
    assert allocating.history(alone.id, None, 1)[0].author == "ada"
    grouping.put("everybody", replace(HALF, share=0.25), None, "root")
    assert given(master, alone).cpus == 0.25 == given(master, other).cpus
    assert grouping.group("everybody").following == 2


def test_tags_lead_into_a_group_and_out_of_it(master: Master, grouping: Grouping) -> None:
    volunteer = master.volunteer()
    grouping.put("night", GroupChange(rule=GroupRule(tags=["night"]), order=10, paused=True), None, "root")
    grouping.put("everybody", HALF, None, "root")
    assert document(master, volunteer)["group"] == "everybody" and not given(master, volunteer).paused
    grouping.tag(document(master, volunteer), ["night", "big"], "root")
    assert document(master, volunteer)["group"] == "night" and given(master, volunteer).paused
    assert [each["_id"] for each in grouping.members("night")] == [volunteer.id]
    assert document(master, volunteer)["tags"] == ["big", "night"]
    grouping.tag(document(master, volunteer), [], "root")
    assert document(master, volunteer)["group"] == "everybody" and not given(master, volunteer).paused
    with pytest.raises(InvalidAllocation, match="lower-case"):
        grouping.tag(document(master, volunteer), ["Night time"], "root")


def test_a_lowered_ceiling_clips_what_a_group_gives(master: Master, grouping: Grouping) -> None:
    volunteer = master.volunteer()
    grouping.put("everybody", GroupChange(rule=GroupRule(), containers=4, cpus=1.0), None, "root")
    volunteer.send(volunteer.request(0))
    less = replace(CEILING, containers=2, cpus=1.0)
    answer = volunteer.send(replace(volunteer.request(0), ceiling=less))
    assert (answer.allocation.containers, answer.allocation.cpus) == (2, 0.5)
    assert document(master, volunteer)["author"] == "group everybody"
    back = volunteer.send(volunteer.request(0)).allocation
    assert (back.containers, back.cpus, back.version) == (4, 1.0, answer.allocation.version + 1)


def test_of_two_admins_the_second_is_told(grouping: Grouping) -> None:
    grouping.put("lab", HALF, 0, "root")
    with pytest.raises(PreconditionFailed):
        grouping.put("lab", HALF, 0, "ada")
    begin = threading.Barrier(4)
    outcomes: list[str] = []

    def change(number: int) -> None:
        begin.wait()
        try:
            grouping.put("lab", replace(HALF, order=number), 1, f"admin {number}")
            outcomes.append("changed")
        except PreconditionFailed:
            outcomes.append("told")

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["changed", "told", "told", "told"]
    assert grouping.group("lab").version == 2


def test_a_removed_group_leaves_its_members_to_the_next_one(master: Master, grouping: Grouping) -> None:
    volunteer = master.volunteer()
    grouping.put("small", GroupChange(rule=GroupRule(), order=1, containers=1, cpus=0.1), None, "root")
    grouping.put("everybody", HALF, None, "root")
    assert document(master, volunteer)["group"] == "small"
    with pytest.raises(PreconditionFailed):
        grouping.delete("small", "root", 7)
    grouping.delete("small", "root", 1)
    assert document(master, volunteer)["group"] == "everybody" and given(master, volunteer).cpus == 0.5
    grouping.delete("everybody", "root", None)
    assert document(master, volunteer)["group"] == "" and given(master, volunteer).cpus == 1.0
    assert grouping.groups() == []
    with pytest.raises(NotFound):
        grouping.delete("everybody", "root", None)
    grouping.put("everybody", HALF, 0, "root")
    assert grouping.group("everybody").version == 1, "the name may be used again"


def test_a_master_lost_in_the_middle_of_a_change_leaves_it_to_housekeeping(
    master: Master, grouping: Grouping, monkeypatch: pytest.MonkeyPatch
) -> None:
    volunteer = master.volunteer()
    with monkeypatch.context() as lost:
        lost.setattr(Grouping, "settle", lambda self: 0)
        grouping.put("everybody", HALF, None, "root")
    assert given(master, volunteer).cpus == 1.0
    assert grouping.settle_unsettled() == 1
    assert given(master, volunteer).cpus == 0.5
    assert grouping.settle_unsettled() == 0


def test_a_removed_group_may_be_made_again_before_its_members_are_settled(
    master: Master, grouping: Grouping, monkeypatch: pytest.MonkeyPatch
) -> None:
    volunteer = master.volunteer()
    for version in (0, None):
        grouping.put("everybody", HALF, None, "root")
        with monkeypatch.context() as lost:
            lost.setattr(Grouping, "settle", lambda self: 0)
            grouping.delete("everybody", "root", None)
        view = grouping.put("everybody", replace(HALF, share=0.25), version, "root")
        assert (view.members, view.group.share) == (1, 0.25) and given(master, volunteer).cpus == 0.25
        grouping.delete("everybody", "root", view.version)


def test_who_was_settled_meanwhile_by_what_the_group_gave_before_has_what_it_gives_now(
    master: Master, grouping: Grouping, monkeypatch: pytest.MonkeyPatch
) -> None:
    volunteer, clients = master.volunteer(), master.store.clients
    allocate = clients.allocate

    def beaten(changes: Any) -> int:
        monkeypatch.setattr(clients, "allocate", allocate)
        where, another = {"_id": volunteer.id}, {"$inc": {"allocation.version": 1}}
        master.store.database["clients"].update_one(where, another)
        return allocate(changes)

    monkeypatch.setattr(clients, "allocate", beaten)
    grouping.put("everybody", HALF, None, "root")
    found = given(master, volunteer)
    assert (found.version, found.cpus) == (3, 0.5)


def test_who_follows_a_group_while_that_changes_has_what_it_gives_now(
    master: Master, grouping: Grouping, monkeypatch: pytest.MonkeyPatch
) -> None:
    volunteer, allocating, give = master.volunteer(), Allocating(master.store), Allocating._give
    grouping.put("everybody", HALF, None, "root")
    alone = AllocationChange(containers=1, cpus=0.1, memory=64 * MIB)
    allocating.allocate(document(master, volunteer), alone, None, "root")

    def changed_first(self: Allocating, *told: Any, **more: Any) -> Allocation:
        grouping.put("everybody", replace(HALF, share=0.25), None, "root")
        return give(self, *told, **more)

    monkeypatch.setattr(Allocating, "_give", changed_first)
    made = allocating.follow(document(master, volunteer), "root")
    assert made == given(master, volunteer) and made.cpus == 0.25


def test_one_odd_client_keeps_nothing_from_the_others(master: Master, grouping: Grouping) -> None:
    odd, other = master.volunteer(), master.volunteer()
    master.store.database["clients"].update_one({"_id": odd.id}, {"$set": {"ceiling": {"cpus": "many"}}})
    grouping.put("everybody", HALF, None, "root")
    assert given(master, other).cpus == 0.5
    assert given(master, odd).containers == 0, "nothing is allowed by what cannot be read"
    assert odd.send(odd.request(0)).allocation.containers == 4, "until it is told again"


@pytest.mark.parametrize("name", ["", "A", "a b", ".a", "a/b", "a" * 41])
def test_a_name_that_cannot_be_is_refused(grouping: Grouping, name: str) -> None:
    with pytest.raises(BadRequest, match="lower-case"):
        grouping.put(name, HALF, None, "root")


# --- many ------------------------------------------------------------------------------------------------------------


class Counted(monitoring.CommandListener):
    """Counts the commands that go to the database, by their name."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def started(self, event: Any) -> None:
        self.commands.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@pytest.fixture
def counted(settings: Settings, store: Store) -> Iterator[tuple[Store, Counted]]:
    """A store on the same database whose round trips are counted."""
    listener = Counted()
    client: MongoClient[Document] = MongoClient(settings.mongo_uri, event_listeners=[listener])
    yield Store(client.get_database(settings.database), store.blobs), listener
    client.close()


@pytest.mark.parametrize("many", [3, 1000])
def test_a_change_costs_as_many_round_trips_for_a_thousand_members_as_for_three(
    master: Master, counted: tuple[Store, Counted], many: int
) -> None:
    one = document(master, master.volunteer())
    machines = [one | {"_id": f"c{number:06}", "request": f"r{number}"} for number in range(many - 1)]
    master.store.database["clients"].insert_many(machines)
    store, listener = counted
    grouping = Grouping(store, Allocating(store))
    grouping.put("everybody", HALF, None, "root")
    listener.commands.clear()
    view = grouping.put("everybody", replace(HALF, share=0.25), 1, "root")
    assert view.members == view.following == many
    cpus = {each["allocation"]["cpus"] for each in master.store.clients.for_groups()}
    assert cpus == {0.25}
    cursors = listener.commands.count("getMore")
    assert len(listener.commands) - cursors <= 14 and cursors <= many // 100
    assert listener.commands.count("update") <= 3, "one write for all members, two for the group itself"
    history = store.database["allocations"].count_documents({"author": "group everybody", "version": 3})
    assert history == many
