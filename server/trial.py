"""A job is on trial until its first chunks agreed: results that differ from run to run can never be checked.

Judged are open chunks with results that are not equal. Where several of them cannot be the work of one liar, the job
stops. Where they can, the clients that computed them are given their own chunk once more: who then gives another result
than before proves the program, not itself, to be at fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server import lifecycle
from server.hints import LARGEST, suggestion
from server.lifecycle import Chunk
from server.running import RunningJob, on_trial
from server.store import Store
from server.trust import TRIAL
from server.verification import Verification

_LOOKED_AT = 20

Evidence = tuple[Chunk, str, str]
"""A chunk and two results of it that differ."""


@dataclass(frozen=True)
class Verdict:
    evidence: list[Evidence] = field(default_factory=list)
    """Why the job stops; empty: it goes on."""
    again: list[str] = field(default_factory=list)
    """Chunks that their clients are to run once more."""


def judge(differing: Sequence[Chunk]) -> Verdict:
    """What follows from the chunks of a job on trial whose results differ. Pure."""
    proven = [(chunk, pair[0], pair[1]) for chunk in differing if (pair := lifecycle.unrepeated(chunk))]
    if proven:
        return Verdict(evidence=proven)
    if len(differing) >= TRIAL and not _may_be_one_liar(differing):
        return Verdict(evidence=[_first_two(chunk) for chunk in differing])
    return Verdict(again=sorted(chunk.id for chunk in differing))


def _first_two(chunk: Chunk) -> Evidence:
    first, second, *_ = lifecycle.representatives(chunk)
    return chunk, first, second


def _may_be_one_liar(differing: Sequence[Chunk]) -> bool:
    """Whether there is a client without whose results no chunk has two that differ."""
    suspects = {replica.client for replica in lifecycle.voters(differing[0])}
    return any(all(len(_groups_without(chunk, suspect)) < 2 for chunk in differing) for suspect in suspects)


def _groups_without(chunk: Chunk, client: str) -> set[str]:
    return {lifecycle.vote_of(r) for r in lifecycle.voters(chunk) if r.client != client}


class Trial:
    """The duty over jobs on trial. Holds no state between calls."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._verification = Verification(store)

    def look_at(self, job: RunningJob) -> bool:
        """Stop a job whose results do not repeat, or note which of its chunks are to be run again; True where it was
        stopped. One round trip for a job on trial, more only where results differ."""
        if not on_trial(job):
            return False
        verdict = judge(self._store.chunks.differing(job.id, _LOOKED_AT))
        if verdict.evidence:
            return self._store.jobs.end(job.id, "failed", {"error": self._why(verdict.evidence)})
        if verdict.again != job.document.get("again", []):
            self._store.jobs.note(job.id, {"again": verdict.again})
        return False

    def _why(self, evidence: Sequence[Evidence]) -> str:
        chunk, first, second = evidence[0]
        where = self._verification.difference(chunk, first, second)
        return (
            "results of the same chunk differ from run to run, so none can be checked: of chunk"
            f" {chunk.index}, {where}. {self._way_out(evidence)}"
        )

    def _way_out(self, evidence: Sequence[Evidence]) -> str:
        found = [self._verification.results(first, second, LARGEST) for _, first, second in evidence[:TRIAL]]
        pairs = [pair for pair in found if pair is not None]
        bundled = self._verification.is_bundled(evidence[0][0])
        words = suggestion(pairs, bundled=bundled) if len(pairs) == len(found) else ""
        if words:
            return f"They are equal with {words} in [verify]: submit it again with that, if nothing else is lost by it"
        return (
            "Make the program give the same for the same input (fix random seeds, leave out times and paths, sort what"
            " has no order), then submit it again"
        )
