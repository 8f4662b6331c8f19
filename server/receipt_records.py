"""What a receipt says of chunks: a record of each, and their sum. Pure, no I/O."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TypeVar

from dockercomp.protocol.orders import JobSpec
from dockercomp.protocol.receipts import (
    MOST_LISTED,
    Basis,
    ChunkRecord,
    Contributor,
    Independence,
    Verdict,
    Verification,
    Vote,
    when,
    written_out,
)
from server.lifecycle import Chunk, Replica
from server.running import asks_people

Number = TypeVar("Number", int, float)

_METHOD = (
    "limits of the number of wrong results by the checks that were drawn (Clopper and Pearson, Biometrika 26, 1934);"
    " clients that agree on the same wrong answer are not covered"
)


def record_of(chunk: Chunk, spec: JobSpec, stage: str) -> ChunkRecord:
    """What is stated of an accepted chunk: the same chunk gives the same record."""
    returned = [replica for replica in chunk.replicas if replica.state == "returned"]
    support = [replica for replica in returned if not replica.canary and _agrees(chunk, replica)]
    fed = next((replica.input_digest for replica in returned if replica.input_digest), "")
    return ChunkRecord(
        job=chunk.job,
        chunk=chunk.id,
        stage=stage,
        index=chunk.index,
        basis=_basis(chunk, spec, support),
        quorum=chunk.quorum,
        output_digest=chunk.digest or "",
        output_size=chunk.size or 0,
        accepted=when(max((replica.at for replica in support), default=0.0)),
        reused_from=chunk.reused,
        votes=[_vote(chunk, replica, fed, alone=_clients(support) == 1) for replica in returned],
        failed_runs=chunk.earlier_failures + sum(1 for replica in chunk.replicas if replica.state == "failed"),
        independence=_independence(support) if support else None,
    )


def _basis(chunk: Chunk, spec: JobSpec, support: list[Replica]) -> Basis:
    if chunk.reused:
        return "reused"
    if asks_people(spec, chunk.stage):
        return "people"
    if _clients(support) > 1:
        return "quorum"
    if any(replica.trusted for replica in support):
        return "trusted"
    return "single" if spec.verify.policy == "adaptive" else "unchecked"


def _agrees(chunk: Chunk, replica: Replica) -> bool:
    return not replica.wrong and (replica.vote or replica.digest) == chunk.digest


def _clients(support: list[Replica]) -> int:
    return len({replica.client for replica in support})


def _vote(chunk: Chunk, replica: Replica, fed: str, *, alone: bool) -> Vote:
    supports: Verdict = "alone" if alone and not replica.canary else "agreed"
    return Vote(
        client=replica.client,
        owner=replica.owner,
        verdict=supports if _agrees(chunk, replica) else "outvoted",
        digest=replica.digest,
        size=replica.size,
        canary=replica.canary,
        doubted=replica.doubted,
        input_digest=replica.input_digest or fed,
        cpus_limit=replica.cpus_limit,
        memory_limit=replica.memory_limit,
        cpu_s=round(replica.cpu_s, 3),
        wall_s=round(replica.wall_s, 3),
        returned=when(replica.at),
    )


def _independence(support: list[Replica]) -> Independence:
    return Independence(
        clients=_clients(support),
        owners=len({replica.owner for replica in support}),
        address_blocks=len({replica.block for replica in support if replica.block}),
        tokens=len({replica.token for replica in support if replica.token}),
    )


@dataclass
class Summary:
    """What the records of a job come to. Memory grows with the clients, not with the chunks."""

    spec: JobSpec
    chunks: Counter[Basis] = field(default_factory=Counter)
    votes: Counter[str] = field(default_factory=Counter)
    given: dict[str, Counter[tuple[str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    """By verdict, and by client and owner: how many results."""
    least: Independence | None = None
    cpus: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    failed_runs: int = 0
    cpu_s: float = 0.0
    cpu_s_checking: float = 0.0

    def add(self, record: ChunkRecord) -> None:
        self.chunks[record.basis] += 1
        self.failed_runs += record.failed_runs
        if record.basis == "quorum" and record.independence is not None:
            self.least = _lesser(self.least, record.independence)
        for vote in record.votes:
            self._add_vote(vote)
        spent = [vote.cpu_s for vote in record.votes]
        self.cpu_s += sum(spent)
        self.cpu_s_checking += sum(spent[1:])

    def _add_vote(self, vote: Vote) -> None:
        self.votes["canaries" if vote.canary else "results"] += 1
        if vote.canary:
            self.votes["canaries_failed"] += vote.verdict == "outvoted"
        else:
            self.given[vote.verdict][vote.client, vote.owner] += 1
        self.votes["doubted"] += vote.doubted
        if vote.cpus_limit:
            self.cpus = _range([*self.cpus, vote.cpus_limit])
        if vote.memory_limit:
            self.memory = _range([*self.memory, vote.memory_limit])

    def verification(self, estimated_error: dict[str, object] | None) -> Verification:
        return Verification(
            rules=written_out(self.spec.verify),
            chunks=dict(sorted(self.chunks.items())),
            results=self.votes["results"],
            outvoted=self.given["outvoted"].total(),
            canaries=self.votes["canaries"],
            canaries_failed=self.votes["canaries_failed"],
            doubted=self.votes["doubted"],
            failed_runs=self.failed_runs,
            least=self.least,
            cpus_limits=self.cpus,
            memory_limits=self.memory,
            cpu_s=round(self.cpu_s, 3),
            cpu_s_checking=round(self.cpu_s_checking, 3),
            estimated_error=estimated_error,
            error_method=_METHOD if estimated_error else "",
        )

    def contributors(self) -> list[Contributor]:
        """Those with most accepted results first, at most MOST_LISTED."""
        agreed, alone, outvoted = (self.given[verdict] for verdict in ("agreed", "alone", "outvoted"))
        known = sorted(self._known(), key=lambda each: (-agreed[each] - alone[each], each))
        return [
            Contributor(client=each[0], owner=each[1], agreed=agreed[each], alone=alone[each], outvoted=outvoted[each])
            for each in known[:MOST_LISTED]
        ]

    @property
    def clients(self) -> int:
        return len(self._known())

    @property
    def owners(self) -> int:
        return len({owner for _, owner in self._known()})

    def _known(self) -> set[tuple[str, str]]:
        return {each for counted in self.given.values() for each in counted}


def _lesser(known: Independence | None, found: Independence) -> Independence:
    if known is None:
        return found
    return Independence(
        clients=min(known.clients, found.clients),
        owners=min(known.owners, found.owners),
        address_blocks=min(known.address_blocks, found.address_blocks),
        tokens=min(known.tokens, found.tokens),
    )


def _range(numbers: list[Number]) -> list[Number]:
    return [min(numbers), max(numbers)]
