"""What a chunk's checks come to: independence, canaries, doubt, classes of machines."""

import msgspec

from server import lifecycle
from server.lifecycle import Chunk, Grantee, Rules

ADAPTIVE = Rules(quorum=1, retries=3, full=2)
TWO = Rules(quorum=2, retries=3)
ANSWER, LIE = "a" * 64, "b" * 64


def fresh(rules: Rules = ADAPTIVE) -> Chunk:
    return lifecycle.fresh("j1", 0, 7, rules)


def given(chunk: Chunk, to: Grantee) -> Chunk:
    found = lifecycle.grant(chunk, to, nonce=to.client, deadline=1e9)
    assert found is not None
    return found


def returned(chunk: Chunk, client: str, digest: str = ANSWER, *, check: bool = False) -> Chunk:
    lease = next(r.lease for r in chunk.replicas if r.client == client)
    step = lifecycle.accept(chunk, lease, digest, 1, stored=True, check=check)
    assert step.ack == "stored"
    return step.chunk


def alone(client: str = "ca") -> Chunk:
    return returned(given(fresh(), Grantee(client, client)), client)


def agreed() -> Chunk:
    """Two agree, of whom the first was drawn for a check."""
    chunk = returned(given(fresh(), Grantee("ca", "ca")), "ca", check=True)
    return returned(given(chunk, Grantee("cb", "cb")), "cb")


def with_canary(chunk: Chunk, client: str = "cc") -> Chunk:
    found = lifecycle.grant_canary(chunk, Grantee(client, client), nonce="n", deadline=1e9)
    assert found is not None
    return found


def test_another_owner_or_address_is_required_where_it_is_asked_for() -> None:
    chunk = given(fresh(TWO), Grantee("ca", "lab", block="192.0.2.0/24"))
    same_owner = Grantee("cb", "lab", block="198.51.100.0/24")
    same_block = Grantee("cc", "other", block="192.0.2.0/24")
    apart = Grantee("cd", "other", block="198.51.100.0/24")

    def allowed(level: str) -> list[str]:
        asking = [msgspec.structs.replace(to, independent=level) for to in (same_owner, same_block, apart)]
        return [to.client for to in asking if lifecycle.grant(chunk, to, nonce="n", deadline=1)]

    assert allowed("client") == ["cb", "cc", "cd"]
    assert allowed("owner") == ["cc", "cd"]
    assert allowed("address") == ["cd"]


def test_what_two_share_is_counted() -> None:
    chunk = given(fresh(TWO), Grantee("ca", "lab", block="b", token="t"))
    others = [Grantee("cb", "lab", "b", "t"), Grantee("cb", "x", "b", ""), Grantee("cb", "x", "", "")]
    assert [lifecycle.dependence(chunk, to) for to in others] == [3, 1, 0]
    assert lifecycle.dependence(fresh(), others[0]) == 0


def test_a_single_result_is_accepted_unless_it_is_drawn() -> None:
    assert (alone().state, lifecycle.sole(alone()), lifecycle.confirmed(alone())) == ("accepted", "ca", False)
    drawn = returned(given(fresh(), Grantee("ca", "ca")), "ca", check=True)
    assert (drawn.state, drawn.quorum, drawn.need) == ("open", 2, 1)
    assert lifecycle.confirmed(agreed()) and lifecycle.sole(agreed()) == ""


def test_canaries_are_of_confirmed_chunks_for_strangers_and_few() -> None:
    assert lifecycle.grant_canary(alone(), Grantee("cc", "cc"), nonce="n", deadline=1) is None
    assert lifecycle.grant_canary(agreed(), Grantee("cc", "ca"), nonce="n", deadline=1) is None, "its owner took part"
    chunk = agreed()
    for number in range(lifecycle.MOST_CANARIES):
        chunk = with_canary(chunk, f"c{number}")
    assert lifecycle.grant_canary(chunk, Grantee("cz", "cz"), nonce="n", deadline=1) is None


def test_a_canary_is_judged_and_does_not_vote() -> None:
    right = returned(with_canary(agreed()), "cc")
    assert (right.state, right.replicas[-1].wrong, len(lifecycle.representatives(right))) == ("accepted", False, 1)
    wrong = returned(with_canary(agreed()), "cc", LIE)
    assert (wrong.state, wrong.digest, wrong.replicas[-1].wrong) == ("accepted", ANSWER, True)
    assert lifecycle.representatives(wrong) == [ANSWER]


def test_a_canary_under_way_when_its_answer_falls_becomes_a_replica_like_any_other() -> None:
    chunk = lifecycle.doubt(lifecycle.doubt(with_canary(agreed()), "ca"), "cb")
    assert (chunk.state, chunk.need) == ("open", 0), "the one at work is the one that is needed"
    decided = returned(chunk, "cc")
    assert (decided.state, decided.digest) == ("accepted", ANSWER)
    other = returned(chunk, "cc", LIE)
    assert (other.state, other.need) == ("open", 1)


def test_a_canary_that_came_back_is_judged_again_by_the_next_answer() -> None:
    chunk = returned(with_canary(agreed()), "cc", LIE)
    chunk = lifecycle.doubt(lifecycle.doubt(chunk, "ca"), "cb")
    for client in ("cd", "ce"):
        chunk = returned(given(chunk, Grantee(client, client)), client, LIE)
    assert (chunk.state, chunk.digest) == ("accepted", LIE)
    assert {r.client for r in chunk.replicas if r.wrong} == {"ca", "cb"}


def test_what_rests_on_a_doubted_word_is_open_until_another_confirms_it() -> None:
    chunk = lifecycle.doubt(alone(), "ca")
    assert (chunk.state, chunk.quorum, chunk.need, chunk.digest) == ("open", 2, 1, None)
    assert lifecycle.grant(chunk, Grantee("ca", "ca"), nonce="x", deadline=1) is None
    confirmed = returned(given(chunk, Grantee("cb", "cb")), "cb")
    assert (confirmed.state, confirmed.digest) == ("accepted", ANSWER)
    assert lifecycle.doubt(alone("cb"), "ca").state == "accepted"


def test_several_doubted_clients_confirm_each_other_once() -> None:
    chunk = lifecycle.doubt(agreed(), "ca")
    assert chunk.state == "accepted", "another one stands for it"
    assert lifecycle.doubt(chunk, "cb").need == 1


def test_a_trusted_client_decides_and_needs_nobody() -> None:
    chunk = given(given(fresh(TWO), Grantee("ca", "ca")), Grantee("ct", "ct", trusted=True))
    lied = returned(chunk, "ca", LIE)
    decided = returned(lied, "ct")
    assert (decided.state, decided.digest) == ("accepted", ANSWER)
    assert [r.client for r in decided.replicas if r.wrong] == ["ca"]


def test_a_class_of_machines_is_kept_until_nobody_of_it_is_left() -> None:
    chunk = given(fresh(TWO), Grantee("ca", "ca", cpu_kind="x"))
    assert lifecycle.grant(chunk, Grantee("cb", "cb", cpu_kind="y"), nonce="n", deadline=1) is None
    chunk = returned(chunk, "ca")
    both = [("ca", "x"), ("cb", "y"), ("cc", "x")]
    assert lifecycle.free_class(chunk, both) is chunk
    assert lifecycle.free_class(chunk, []) is chunk, "nobody is there: those of its class may come back"
    assert lifecycle.free_class(chunk, both[:2]) is chunk, "one of another class could not agree with anybody either"
    freed = lifecycle.free_class(chunk, [*both[:2], ("cd", "y")])
    assert (freed.cpu_kind, freed.need, freed.replicas) == ("", 2, ())
    assert given(freed, Grantee("cb", "cb", cpu_kind="y")).cpu_kind == "y"


def test_an_ended_chunk_has_no_live_leases_whatever_comes_late() -> None:
    """Else whoever takes a client's leases back would find them again for ever."""
    chunk = given(differing(), Grantee("cc", "cc"))
    again = lifecycle.grant_again(chunk, Grantee("ca", "ca"), nonce="again", deadline=1)
    assert again is not None
    lease = again.replicas[-1].lease
    ended = lifecycle.cancel(again)
    for after in (
        ended,
        msgspec.structs.replace(again, state="cancelled"),
        msgspec.structs.replace(again, state="failed"),
    ):
        assert lifecycle.live_leases(lifecycle.release(after, lease).chunk) == []


def test_a_lease_that_ended_brings_nothing_where_its_own_owner_took_part_since() -> None:
    apart = Grantee("c1", "evil", block="b", independent="owner")
    chunk = lifecycle.grant(fresh(TWO), apart, nonce="1", deadline=1)
    assert chunk is not None
    lease = chunk.replicas[-1].lease
    gone = lifecycle.release(chunk, lease).chunk
    sibling = given(gone, Grantee("c2", "evil", block="b", independent="owner"))
    lied = returned(sibling, "c2", LIE)
    step = lifecycle.accept(lied, lease, LIE, 1, stored=True)
    assert (step.ack, step.chunk.state) == ("late", "open")


def test_what_is_given_back_unrun_never_gives_a_chunk_up() -> None:
    chunk = fresh(TWO)
    for number in range(2 * lifecycle.MOST_LOST):
        leased = lifecycle.grant(chunk, Grantee("ca", "ca"), nonce=str(number), deadline=1e9)
        assert leased is not None
        chunk = lifecycle.release(leased, leased.replicas[-1].lease, given_back=True).chunk
        assert chunk.state == "open", number


def differing() -> Chunk:
    chunk = given(given(fresh(TWO), Grantee("ca", "ca")), Grantee("cb", "cb"))
    return returned(returned(chunk, "ca"), "cb", LIE)


def run_again(chunk: Chunk, client: str, digest: str) -> Chunk:
    found = lifecycle.grant_again(chunk, Grantee(client, client), nonce="again", deadline=1e9)
    assert found is not None
    return lifecycle.accept(found, found.replicas[-1].lease, digest, 1, stored=True).chunk


def test_a_second_run_is_for_those_whose_results_differ_once_each() -> None:
    assert lifecycle.differs(differing()) and not lifecycle.differs(agreed())
    stranger, one = Grantee("cc", "cc"), Grantee("ca", "ca")
    assert lifecycle.grant_again(differing(), stranger, nonce="n", deadline=1) is None
    assert lifecycle.grant_again(agreed(), one, nonce="n", deadline=1) is None
    assert lifecycle.grant_again(run_again(differing(), "ca", ANSWER), one, nonce="n", deadline=1) is None


def test_a_second_run_votes_for_nothing_and_tells_who_does_not_repeat_its_result() -> None:
    same, other = run_again(differing(), "ca", ANSWER), run_again(differing(), "ca", LIE)
    assert [(c.state, c.need, lifecycle.votes_of(c)) for c in (same, other)] == [("open", 1, {ANSWER: 1, LIE: 1})] * 2
    assert lifecycle.unrepeated(same) is None and lifecycle.unrepeated(other) == (ANSWER, LIE)


def test_a_second_run_under_way_takes_nobodys_place() -> None:
    chunk = given(differing(), Grantee("cc", "cc"))
    asked = lifecycle.grant_again(chunk, Grantee("ca", "ca"), nonce="again", deadline=1e9)
    assert asked is not None and asked.need == 0
    lost = lifecycle.release(asked, next(r.lease for r in asked.replicas if r.client == "cc")).chunk
    assert lost.need == 1
    decided = returned(given(lost, Grantee("cd", "cd")), "cd")
    assert (decided.state, lifecycle.live_leases(decided)) == ("accepted", [])
    assert [r.client for r in decided.replicas if r.wrong] == ["cb"]
