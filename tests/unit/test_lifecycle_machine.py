"""The chunk's state machine against a model: no chunk lost, none counted twice, no quorum from one client.

Some digests are equal under the model's comparator (the first letter decides), so votes are counted by group.
"""

from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockercomp.protocol.messages import Failure
from server import lifecycle
from server.lifecycle import Chunk, Grantee, Rules
from tests.unit.test_lifecycle import BROKEN_MACHINE, DIGESTS, FAILED, NEAR, lease_of

CLIENTS = ["ca", "cb", "cc", "cd", "ce", "ct"]
TRUSTED = "ct"
SIZES = {digest: number for number, digest in enumerate(DIGESTS + NEAR, 10)}


def equal_vote(chunk: Chunk, digest: str) -> str:
    """What verification hands to accept: the representative that the model's comparator finds equal."""
    return next((other for other in lifecycle.representatives(chunk) if other[0] == digest[0]), "")


class Life(RuleBasedStateMachine):
    """Random leases, results, checks, failures, expiries, duplicates, late messages, canaries, and clients found wrong;
    the model keeps the votes by client."""

    leases = Bundle("leases")

    @initialize(
        quorum=st.integers(1, 3), retries=st.integers(1, 4), adaptive=st.booleans(), kinds=st.sampled_from([1, 2])
    )
    def begin(self, quorum: int, retries: int, adaptive: bool, kinds: int) -> None:
        rules = Rules(1, retries, full=max(2, quorum)) if adaptive else Rules(quorum, retries)
        self.chunk = lifecycle.fresh("j1", 0, 7, rules)
        self.lowest, self.highest = rules.quorum, max(rules.quorum, rules.full)
        self.kinds = {client: f"kind {number % kinds}" if kinds > 1 else "" for number, client in enumerate(CLIENTS)}
        self.votes: dict[str, str] = {}
        self.doubted: set[str] = set()
        self.failures: set[str] = set()
        self.granted: set[str] = set()
        self.accepted: tuple[str | None, int | None] | None = None
        self.number = 0

    def to(self, client: str) -> Grantee:
        """Two of the clients have one owner, and one is trusted."""
        owner = "o1" if client in CLIENTS[:2] else client
        return Grantee(client, owner, cpu_kind=self.kinds[client], trusted=client == TRUSTED)

    def weights(self) -> Counter[str]:
        """Votes by group: of those who are doubted for the same one, one counts."""
        weights = Counter(digest[0] for client, digest in self.votes.items() if client not in self.doubted)
        weights.update({digest[0] for client, digest in self.votes.items() if client in self.doubted})
        return weights

    def best(self) -> int:
        return max(self.weights().values(), default=0)

    def at_work(self, chunk: Chunk) -> int:
        return sum(r.state in lifecycle.LIVE and not r.canary for r in chunk.replicas)

    @rule(target=leases, client=st.sampled_from(CLIENTS), spare=st.booleans())
    def lease(self, client: str, spare: bool) -> str:
        self.number += 1
        nonce = f"{self.number}"
        given = lifecycle.grant(self.chunk, self.to(client), nonce=nonce, deadline=1e9, spare=spare)
        if given is None:
            return f"{client}.{self.chunk.id}.none"
        assert self.chunk.state == "open" and (self.chunk.need > 0 or spare)
        assert client not in self.votes, "a client that voted got another replica"
        assert len({r.client for r in given.replicas if r.state in lifecycle.LIVE}) == len(lifecycle.live_leases(given))
        assert self.at_work(given) <= given.quorum - self.best() + spare, "more at work than one to spare"
        assert {self.kinds[r.client] for r in given.replicas if r.state in ("returned", "leased")} == {given.cpu_kind}
        self.chunk = given
        lease = lease_of(given, client)
        self.granted.add(lease)
        return lease

    @precondition(lambda self: lifecycle.confirmed(self.chunk))
    @rule(target=leases, client=st.sampled_from(CLIENTS))
    def test(self, client: str) -> str:
        self.number += 1
        given = lifecycle.grant_canary(self.chunk, self.to(client), nonce=f"{self.number}", deadline=1e9)
        if given is None:
            return f"{client}.{self.chunk.id}.none"
        assert self.chunk.state == "accepted" and not lifecycle.sole(self.chunk)
        assert self.to(client).owner not in {r.owner for r in self.chunk.replicas}
        assert (given.state, given.need, given.digest) == ("accepted", 0, self.chunk.digest)
        self.chunk = given
        self.granted.add(lease_of(given, client))
        return lease_of(given, client)

    @rule(lease=leases, digest=st.sampled_from(DIGESTS + NEAR), stored=st.booleans(), check=st.booleans())
    def result(self, lease: str, digest: str, stored: bool, check: bool) -> None:
        vote = equal_vote(self.chunk, digest)
        step = lifecycle.accept(self.chunk, lease, digest, SIZES[digest], stored=stored, vote=vote, check=check)
        client = lease.split(".", maxsplit=1)[0]
        if lease not in self.granted:
            assert step.ack == "unknown" and step.chunk is self.chunk
            return
        if self.is_canary(lease):
            assert (step.chunk.state, step.chunk.digest) == (self.chunk.state, self.chunk.digest)
            self.chunk = step.chunk
            return
        if step.ack == "stored" and client not in self.votes:
            self.votes[client] = digest
            if check and self.chunk.full and client != TRUSTED:
                assert step.chunk.quorum >= self.chunk.full, "it was drawn for a check and is not checked"
        if step.ack == "stored":
            assert self.votes[client] == digest, "a vote was changed"
        if not stored:
            assert step.ack != "stored" or self.votes.get(client) == digest
        self.chunk = step.chunk

    @precondition(lambda self: lifecycle.live_leases(self.chunk))
    @rule(
        pick=st.integers(0, 5), digest=st.sampled_from([*DIGESTS[:1] * 4, NEAR[0], *DIGESTS[1:]]), check=st.booleans()
    )
    def timely_result(self, pick: int, digest: str, check: bool) -> None:
        """As most results are: of a lease that lives, and more often right than not."""
        live = lifecycle.live_leases(self.chunk)
        self.result(live[pick % len(live)], digest, stored=True, check=check)

    def is_canary(self, lease: str) -> bool:
        return any(r.lease == lease and r.canary for r in self.chunk.replicas)

    @rule(lease=leases, failure=st.sampled_from([FAILED, BROKEN_MACHINE]))
    def fail(self, lease: str, failure: Failure) -> None:
        step = lifecycle.fail_replica(self.chunk, lease, failure)
        if step.chunk is not self.chunk:
            assert lease not in self.failures, "one failure was counted twice"
            self.failures.add(lease)
        self.chunk = step.chunk

    @rule(lease=leases)
    def expire(self, lease: str) -> None:
        self.chunk = lifecycle.release(self.chunk, lease).chunk

    @precondition(lambda self: self.votes)
    @rule(client=st.sampled_from(CLIENTS))
    def find_wrong(self, client: str) -> None:
        """A client was found wrong: what rests on its word is open until somebody else confirms it."""
        if client == TRUSTED:
            return
        after = lifecycle.doubt(self.chunk, client)
        if client in self.votes:
            self.doubted.add(client)
        if after.state == "accepted" and self.highest > 1 and self.votes:
            supporters = {c for c, digest in self.votes.items() if digest[0] == (after.digest or "")[0]}
            assert supporters - self.doubted, "it rests on doubted words alone"
        self.move_on(after)

    @precondition(lambda self: lifecycle.sole(self.chunk))
    @rule()
    def ask_once_more(self) -> None:
        alone = lifecycle.sole(self.chunk)
        after = lifecycle.recheck(self.chunk)
        assert (after is not self.chunk) == bool(alone)
        assert not alone or (after.state, after.need) == ("open", self.highest - 1)
        self.move_on(after)

    def move_on(self, after: Chunk) -> None:
        if after.state == "open":
            self.accepted = None
        if after.digest != self.chunk.digest:
            self.accepted = None
        self.chunk = after

    @precondition(lambda self: self.chunk.cpu_kind)
    @rule(able=st.sets(st.sampled_from(CLIENTS), min_size=1))
    def free_class(self, able: set[str]) -> None:
        after = lifecycle.free_class(self.chunk, [(client, self.kinds[client]) for client in able])
        if after is not self.chunk:
            left = able - set(lifecycle.barred_clients(self.chunk))
            assert all(self.kinds[client] != self.chunk.cpu_kind for client in left)
            assert after.state != "open" or after.need == after.quorum
            self.votes, self.doubted = {}, set()
            self.granted = {r.lease for r in after.replicas}
        self.chunk = after

    @rule()
    def forgive(self) -> None:
        self.chunk = lifecycle.forgive(self.chunk, CLIENTS)

    @precondition(lambda self: self.chunk.state != "accepted" and self.number % 3 == 0)
    @rule()
    def end_and_open_again(self) -> None:
        """The job ends, and is run again."""
        ended = lifecycle.cancel(self.chunk)
        if ended.state == "accepted":
            return
        self.chunk = lifecycle.reopen(ended)
        self.accepted = None
        self.votes = {r.client: r.digest for r in self.chunk.replicas}
        self.granted = {r.lease for r in self.chunk.replicas}
        self.doubted &= set(self.votes)

    @invariant()
    def never_lost(self) -> None:
        """An open chunk always has somebody at work or a replica to hand out; an ended one has canaries at most."""
        live = self.at_work(self.chunk)
        if self.chunk.state == "open":
            assert live == len(lifecycle.live_leases(self.chunk)), "a canary of a chunk whose answer is not known"
            assert self.best() + live + self.chunk.need >= self.chunk.quorum
            assert self.chunk.need > 0 or live > 0
        else:
            assert self.chunk.need == 0 and live == 0

    @invariant()
    def the_quorum_is_one_of_two(self) -> None:
        assert self.chunk.quorum in (self.lowest, self.highest)

    @invariant()
    def only_a_real_quorum_decides(self) -> None:
        """Votes are those the model saw, one a client; accepted exactly when `quorum` clients agreed, or a trusted one
        said so."""
        returned = [(r.client, r.digest) for r in self.chunk.replicas if r.state == "returned" and not r.canary]
        assert len(returned) == len({client for client, _ in returned})
        assert dict(returned) == self.votes
        if self.chunk.state == "accepted":
            assert self.chunk.digest is not None
            trusted = self.votes.get(TRUSTED, "?")[0] == self.chunk.digest[0]
            assert trusted or self.weights()[self.chunk.digest[0]] >= self.chunk.quorum
            group = [digest for _, digest in returned if digest[0] == self.chunk.digest[0]]
            assert self.chunk.digest in group, "the canonical result is nobody's"
            assert self.chunk.size == SIZES[self.chunk.digest]
            now = (self.chunk.digest, self.chunk.size)
            assert self.accepted in (None, now), "a canonical result changed"
            self.accepted = now
        elif self.chunk.state == "open":
            assert self.best() < self.chunk.quorum and TRUSTED not in self.votes

    @invariant()
    def only_the_outvoted_are_marked(self) -> None:
        """By a quorum, or a known answer; what was judged before the chunk was opened again is judged anew."""
        if self.chunk.state != "accepted":
            return
        for replica in self.chunk.replicas:
            if replica.state != "returned":
                assert not replica.wrong
            elif self.chunk.quorum > 1 or replica.canary:
                assert replica.wrong == (replica.digest[0] != (self.chunk.digest or "?")[0])
            else:
                assert not replica.wrong

    @invariant()
    def one_client_alone_is_named(self) -> None:
        alone = lifecycle.sole(self.chunk)
        if self.chunk.state == "accepted" and self.chunk.full:
            group = [c for c, digest in self.votes.items() if digest[0] == (self.chunk.digest or "?")[0]]
            assert alone == (group[0] if len(group) == 1 and group != [TRUSTED] else "")

    @invariant()
    def every_vote_is_for_a_stored_result(self) -> None:
        mine = {r.digest for r in self.chunk.replicas if r.state == "returned" and not r.vote}
        assert set(lifecycle.representatives(self.chunk)) <= mine


Life.TestCase.settings = settings(
    max_examples=300, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
