"""What people answered: by file, with how many said so. Reads only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from server.lifecycle import Chunk, Replica
from server.naming import Names
from server.plots.points import as_csv
from server.running import running_job
from server.store import Store
from server.store.connection import Document

_GROUP = 500


@dataclass(frozen=True)
class Agreed:
    """One file, what a quorum said of it, and how many of all answers that were."""

    chunk: str
    file: str
    answer: str
    votes: int
    answers: int


class Answers:
    def __init__(self, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def page(self, job: Document, after: str = "", limit: int = _GROUP) -> list[Agreed]:
        """The files agreed on, in order, after the chunk `after`."""
        found = self._store.chunks.page(job["_id"], 0, "accepted", after, limit)
        words = self.of({chunk.digest or "" for chunk in found})
        spec = running_job(job).spec
        return [
            Agreed(
                chunk=chunk.id,
                file=self._names.of(job, spec, 0, chunk.index),
                answer=words.get(chunk.digest or "", ""),
                votes=sum(not replica.wrong for replica in _returned(chunk)),
                answers=len(_returned(chunk)),
            )
            for chunk in found
        ]

    def csv(self, job: Document) -> Iterator[str]:
        """All of them, with a header."""
        yield as_csv(["file", "answer", "votes", "answers"], [])
        after = ""
        while found := self.page(job, after):
            yield as_csv(None, ([each.file, each.answer, each.votes, each.answers] for each in found))
            after = found[-1].chunk

    def of(self, digests: set[str]) -> dict[str, str]:
        """The answers that these digests stand for."""
        found = self._store.payloads.get(digests)
        return {digest: data.decode(errors="replace").strip() for digest, data in found.items()}


def _returned(chunk: Chunk) -> Sequence[Replica]:
    return [replica for replica in chunk.replicas if replica.state == "returned"]
