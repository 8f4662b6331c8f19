"""The master's own rules of trust over chunks in memory: the pure functions that its duties call, without a store."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from random import Random

from server import lifecycle, trust
from server.lifecycle import Chunk, Grantee, Rules
from server.trust import Record, Reputation, Terms

Lease = tuple[int, str]
"""A chunk's number and the lease's id."""

_LOOKS = 4
"""Chunks that are looked at for a canary."""


@dataclass
class Rule:
    """A job of so many chunks, adaptive with this floor."""

    size: int
    random: Random
    floor: float = trust.FLOOR
    results: Counter[str] = field(default_factory=Counter)
    """Results returned, by client."""
    found: dict[str, int] = field(default_factory=dict)
    """Clients found wrong: how many results they had returned then."""

    def __post_init__(self) -> None:
        self._half: Counter[str] = Counter()
        self.chunks: dict[int, Chunk] = {}
        self.left = self.size
        self._records: dict[str, Record] = defaultdict(lambda: trust.NOTHING)
        self._judged: set[str] = set()
        self._needy: dict[int, None] = {}
        self._due: list[str] = []
        """Clients found wrong, of which nothing followed yet."""
        self._cases: dict[str, set[int]] = defaultdict(set)
        """By client that was found wrong: in which chunks."""
        self._sole: dict[str, set[int]] = defaultdict(set)
        self._run: dict[str, set[int]] = defaultdict(set)
        self._confirmed: list[int] = []
        self._agreed = 0
        self._before: dict[str, Record] = {}
        """Records of clients as they were before they were found wrong."""
        self._secret = self.random.randbytes(32)
        self._rules = Rules(quorum=1, retries=1000, full=2)

    def lease(self, client: str) -> Lease | None:
        reputation = self._reputation(client)
        if trust.refusal(reputation):
            return None
        to, terms = Grantee(client, client), self._terms()
        if self.random.random() < trust.canary_chance(reputation, terms):
            canary = self._canary(to)
            if canary is not None:
                return canary
        for number in list(self._needy):
            given = self._grant(self.chunks[number], to)
            if given is not None:
                return given
        if len(self.chunks) == self.size:
            return None
        return self._grant(lifecycle.fresh("j", 0, len(self.chunks), self._rules), to)

    def _grant(self, chunk: Chunk, to: Grantee) -> Lease | None:
        leased = lifecycle.grant(chunk, to, nonce=self._nonce(), deadline=1e18)
        return None if leased is None else self._leased(leased)

    def _canary(self, to: Grantee) -> Lease | None:
        for _ in range(min(_LOOKS, len(self._confirmed))):
            chunk = self.chunks[self.random.choice(self._confirmed)]
            leased = lifecycle.grant_canary(chunk, to, nonce=self._nonce(), deadline=1e18)
            if leased is not None:
                return self._leased(leased)
        return None

    def _leased(self, chunk: Chunk) -> Lease:
        self._put(chunk)
        return chunk.index, chunk.replicas[-1].lease

    def _nonce(self) -> str:
        return f"{self.random.getrandbits(32):x}"

    def returned(self, client: str, lease: Lease, answer: str) -> None:
        number, name = lease
        self.results[client] += 1
        if 2 * self.left >= self.size:
            self._half[client] += 1
        if client in self.found:
            self._move(lifecycle.release(self.chunks[number], name).chunk)
            return
        probability = trust.chance(self._reputation(client), self._terms())
        check = trust.drawn(self._secret, name, probability)
        self._move(lifecycle.accept(self.chunks[number], name, answer, 1, stored=True, check=check).chunk)
        self._follow_up()

    def lost(self, client: str, lease: Lease) -> None:
        self._note(client, "late")
        self._move(lifecycle.release(self.chunks[lease[0]], lease[1]).chunk)

    def second_half(self, clients: set[str]) -> float:
        """Results of these clients a chunk, since half of the chunks were accepted."""
        return sum(self.results[client] - self._half[client] for client in clients) / (self.size / 2)

    def close(self) -> bool:
        """Check one more result of each client that gave some, on its word alone, since it agreed last; False where
        there is none."""
        due = [self.random.choice(sorted(numbers)) for _, numbers in sorted(self._run.items()) if numbers]
        for number in due:
            self._move(lifecycle.recheck(self.chunks[number]))
        return bool(due)

    def _move(self, chunk: Chunk) -> None:
        before = self.chunks[chunk.index]
        if chunk is before:
            return
        self._put(chunk)
        wrong = []
        for replica in chunk.replicas:
            judged = replica.state == "returned" and (
                replica.canary or (chunk.state == "accepted" and chunk.quorum > 1)
            )
            if not judged or replica.lease in self._judged:
                continue
            self._judged.add(replica.lease)
            before_it = self._records[replica.client]
            self._note(replica.client, "wrong" if replica.wrong else "agreed")
            self._run[replica.client].clear()
            if replica.wrong:
                self._before.setdefault(replica.client, before_it)
                wrong.append(replica.client)
        for client in wrong:
            self._cases[client].add(chunk.index)
            self._due.append(client)
        if wrong:
            self._put(lifecycle.followed_up(self.chunks[chunk.index]))

    def _follow_up(self) -> None:
        """What follows from who was found wrong, until nothing does."""
        while self._due:
            self._look_back(self._due.pop())
        for client in list(self._cases):
            self._acquit(client)

    def _look_back(self, client: str) -> None:
        """What rests on its word is doubted; whom it outvoted is judged again."""
        self.found.setdefault(client, self.results[client])
        for chunk in self._of(client):
            self._move(lifecycle.doubt(self.chunks[chunk.index], client))
        for number in sorted({number for numbers in self._cases.values() for number in numbers}):
            self._move(lifecycle.rejudge(self.chunks[number]))

    def _acquit(self, client: str) -> None:
        """A client whose results turn out to be right is no liar."""
        cases = [self.chunks[number] for number in self._cases[client]]
        wrong = any(r.wrong and r.client == client for chunk in cases for r in chunk.replicas)
        if wrong or any(chunk.state != "accepted" for chunk in cases):
            return
        del self._cases[client], self.found[client]
        self._records[client] = self._before.pop(client)
        for chunk in self._of(client):
            self._move(lifecycle.absolve(self.chunks[chunk.index], client))

    def _of(self, client: str) -> list[Chunk]:
        return [chunk for chunk in self.chunks.values() if any(r.client == client for r in chunk.replicas)]

    def _put(self, chunk: Chunk) -> None:
        before = self.chunks.get(chunk.index)
        self.chunks[chunk.index] = chunk
        if before is not None and (earlier := lifecycle.sole(before)):
            self._sole[earlier].discard(chunk.index)
            self._run[earlier].discard(chunk.index)
        if now := lifecycle.sole(chunk):
            self._sole[now].add(chunk.index)
            self._run[now].add(chunk.index)
        was, is_now = before is not None and before.state == "accepted", chunk.state == "accepted"
        self.left += was - is_now
        if is_now and not was and chunk.quorum > 1:
            self._confirmed.append(chunk.index)
            self._agreed += 1
        if chunk.need > 0:
            self._needy[chunk.index] = None
        else:
            self._needy.pop(chunk.index, None)

    def _note(self, client: str, event: trust.Event) -> None:
        self._records[client] = trust.noted(self._records[client], event)

    def _reputation(self, client: str) -> Reputation:
        record = self._records[client]
        return Reputation(job=record, client=record, found="a check" if client in self.found else "")

    def _terms(self) -> Terms:
        return Terms(floor=self.floor, trial=self._agreed < trust.TRIAL)

    @staticmethod
    def chunk_of(lease: Lease) -> int:
        return lease[0]

    def seen(self, number: int) -> list[str]:
        return [replica.digest for replica in self.chunks[number].replicas if replica.digest]

    def wrong(self, truth: str) -> int:
        """Accepted chunks whose answer is not the truth."""
        return sum(1 for chunk in self.chunks.values() if chunk.state == "accepted" and chunk.digest != truth)
