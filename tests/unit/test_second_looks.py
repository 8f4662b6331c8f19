"""What is looked at again, by the chunk's rules: verdicts judged anew, changes remembered, chunks run anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec
from server import checking, lifecycle, plan
from server.chunk import Chunk, Grantee, Rules
from server.granting import grant

ADAPTIVE = Rules(quorum=1, retries=3, full=2)


def given_by(chunk: Chunk, client: str, digest: str, *, check: bool = False) -> Chunk:
    """The client gets a lease and brings this result."""
    leased = grant(chunk, Grantee(client, "lab"), nonce="n", deadline=1e9)
    assert leased is not None
    lease = leased.replicas[-1].lease
    return lifecycle.accept(leased, lease, digest * 64, 1, stored=True, check=check).chunk


def chunk_of(*votes: tuple[str, str]) -> Chunk:
    """A checked chunk with these (client, digest), in order."""
    chunk = lifecycle.fresh("j1", 0, 0, ADAPTIVE)
    for client, digest in votes:
        chunk = given_by(chunk, client, digest, check=True)
    return chunk


def wrong_clients(chunk: Chunk) -> set[str]:
    return {replica.client for replica in chunk.replicas if replica.wrong}


def test_a_verdict_of_two_who_are_both_found_wrong_is_judged_anew_and_may_be_turned_round() -> None:
    chunk = chunk_of(("honest", "a"), ("liar", "b"), ("other liar", "b"))
    assert chunk.digest == "b" * 64 and wrong_clients(chunk) == {"honest"}
    assert checking.newly_wrong(chunk) == ["honest"] and checking.newly_wrong(checking.followed_up(chunk)) == []
    again = checking.doubt(checking.doubt(checking.followed_up(chunk), "liar"), "other liar")
    assert again.state == "open" and again.need == 1, "on each side one word is left"
    turned = given_by(again, "third", "a")
    assert turned.digest == "a" * 64 and wrong_clients(turned) == {"liar", "other liar"}


def test_a_verdict_that_one_believed_client_shares_with_a_liar_asks_for_one_opinion_more() -> None:
    chunk = checking.doubt(checking.followed_up(chunk_of(("honest", "a"), ("liar", "b"), ("other", "b"))), "liar")
    assert chunk.state == "accepted"
    again = checking.rejudge(chunk)
    assert (again.state, again.quorum) == ("open", 3)
    for client, digest in (("third", "a"), ("fourth", "a")):
        again = given_by(again, client, digest)
    assert again.digest == "a" * 64 and wrong_clients(again) == {"liar", "other"}


def test_a_verdict_of_two_believed_clients_stands() -> None:
    upheld = chunk_of(("liar", "b"), ("one", "a"), ("two", "a"))
    assert checking.rejudge(upheld) is upheld
    agreed = chunk_of(("one", "a"), ("two", "a"))
    assert checking.rejudge(checking.doubt(agreed, "one")).state == "accepted", "nobody was outvoted"


def test_who_is_absolved_counts_again() -> None:
    sole = given_by(lifecycle.fresh("j1", 0, 0, ADAPTIVE), "client", "a")
    doubted = checking.doubt(sole, "client")
    assert doubted.state == "open" and doubted.replicas[0].doubted
    absolved = checking.absolve(doubted, "client")
    assert not absolved.replicas[0].doubted and absolved.need == 1, "it was opened for a check, and is checked"
    assert checking.absolve(absolved, "client") is absolved


def test_a_change_is_seen_until_it_is_adopted() -> None:
    sole = given_by(lifecycle.fresh("j1", 0, 0, ADAPTIVE), "liar", "b")
    opened = checking.doubt(sole, "liar")
    assert (opened.was, opened.was_size) == ("b" * 64, 1) and not checking.changed(opened)
    same = given_by(opened, "one", "b")
    assert same.state == "accepted" and not checking.changed(same)
    other = given_by(given_by(opened, "one", "a"), "two", "a")
    assert checking.changed(other)
    adopted = checking.adopt(other)
    assert not checking.changed(adopted) and adopted.digest == "a" * 64 and adopted.was == ""


def test_a_change_is_not_forgotten_when_the_chunk_is_opened_once_more_and_ends_as_it_began() -> None:
    first = given_by(lifecycle.fresh("j1", 0, 0, ADAPTIVE), "x", "b")
    second = given_by(given_by(checking.doubt(first, "x"), "y", "a"), "z", "a")
    third = checking.doubt(checking.doubt(second, "y"), "z")
    back = given_by(third, "u", "b")
    assert back.digest == "b" * 64 and checking.changed(back), "a reader may have met the one in between"


def test_what_is_run_anew_begins_without_votes_failures_or_leases_and_remembers_what_it_gave() -> None:
    chunk = chunk_of(("one", "a"), ("two", "a"))
    anew = checking.redo(chunk)
    assert (anew.state, anew.replicas, anew.need, anew.redone) == ("open", (), 2, 1)
    assert anew.was == "a" * 64 and anew.digest is None
    failed = replace(lifecycle.fresh("j1", 1, 0, ADAPTIVE), state="failed", error="it failed")
    assert checking.redo(failed).state == "open" and checking.redo(failed).error == ""


def test_a_closing_check_that_nobody_can_do_leaves_the_result_as_it_was() -> None:
    sole = given_by(lifecycle.fresh("j1", 0, 0, ADAPTIVE), "alone", "a")
    opened = checking.recheck(sole)
    assert opened.state == "open"
    left = checking.let_be(opened)
    assert left.state == "accepted" and checking.sole(left) == "alone" and left.digest == sole.digest
    differing = given_by(opened, "other", "b")
    assert checking.let_be(differing) is differing, "there are two opinions now"


@given(chunks=st.integers(2, 200), fan_in=st.integers(2, 20))
def test_a_trees_readers_are_those_in_whose_group_a_result_is(chunks: int, fan_in: int) -> None:
    spec = JobSpec(
        name="x",
        image="i",
        input=InputSpec(split="range", stop=chunks),
        map=ProgramSpec(command=["true"]),
        reduce=ReduceSpec(command=["true"], fan_in=fan_in),
    )
    stages = plan.stages(spec, chunks)
    for stage in stages:
        if stage.reads is None or not plan.is_tree(spec) or len(stages) == 2:
            continue
        below = stages[stage.reads].total
        for index in range(below):
            groups = [plan.group(spec, stage, reader, below) for reader in range(stage.total)]
            expected = [number for number, (first, last) in enumerate(groups) if first <= index < last]
            assert plan.readers(spec, stage, index, below) == expected


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_ended_chunks_are_not_opened_for_a_check(state: str) -> None:
    ended = replace(lifecycle.fresh("j1", 0, 0, ADAPTIVE), state=state)  # type: ignore[arg-type]
    assert checking.recheck(ended) is ended and checking.let_be(ended) is ended
