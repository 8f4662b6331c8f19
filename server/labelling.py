"""The human task: people answer a question about each file, over the same life of chunks as clients' runs.

A person is a voter who is leased one chunk at a time. An answer is a result like any other: it is stored, it votes, and
a quorum of equal ones is the chunk's canonical result.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

import msgspec

from dockercomp.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from dockercomp.protocol.messages import ResultReport
from server import lifecycle
from server.inputs import ChunkInput, Inputs
from server.lifecycle import Chunk
from server.running import RunningJob, deadline_s, running_job
from server.scheduling import Scheduling
from server.store import Store
from server.store.connection import Document
from server.verification import Intake, Verification

LONGEST_ANSWER = 500
_OPEN_LOOKED_AT = 20
_TRIES = 5


@dataclass(frozen=True)
class Voter:
    """Someone who answers. The id stands for a client's in leases and replicas."""

    id: str

    @classmethod
    def signed_in(cls, name: str) -> "Voter":
        """A person with an account: whoever it is, one voter."""
        return cls("p-" + quote(name, safe="").replace(".", "%2E"))  # a lease's id is divided by points

    @classmethod
    def visitor(cls, mark: str) -> "Voter":
        """Someone who came by a link, known by a random mark that the browser keeps."""
        return cls(f"a-{mark}")


@dataclass(frozen=True)
class Question:
    """One file that a voter is asked about. `lease` comes back with the answer."""

    job: RunningJob
    lease: str
    name: str
    content: ChunkInput

    @property
    def choices(self) -> list[str]:
        return self.job.spec.map.choices


Outcome = Literal["counted", "late"]


class Labelling:
    """Duties over questions. Holds no state between calls."""

    def __init__(self, store: Store, inputs: Inputs) -> None:
        self._store = store
        self._inputs = inputs
        self._scheduling = Scheduling(store)
        self._verification = Verification(store)

    def jobs(self) -> list[Document]:
        """Running jobs that ask people, oldest first."""
        return self._store.jobs.asking()

    def next(self, job: str, voter: Voter, skipped: Collection[int] = ()) -> Question | None:
        """What this voter is asked now: what is held already, else a chunk that needs one more answer; None where
        there is nothing to ask but `skipped`. Raises NotFound."""
        asked = self._asking(job)
        if asked is None:
            return None
        held = [chunk for chunk in self._store.chunks.held_by(voter.id) if chunk.job == job]
        chunk = held[0] if held else self._lease(asked, voter, skipped)
        return self._question(asked, chunk, voter) if chunk is not None else None

    def content(self, job: str, voter: Voter, lease: str) -> ChunkInput:
        """What the voter is asked about under a lease. Raises Forbidden, NotFound, Conflict."""
        asked, chunk = self._asking(job), self._held(lease, voter)
        if asked is None or chunk is None or lease not in lifecycle.live_leases(chunk):
            raise Conflict("this question is not yours any more: go on with the next one")
        return self._question(asked, chunk, voter).content

    def answer(self, voter: Voter, lease: str, answer: str) -> Outcome:
        """Count an answer. `late` where the chunk was settled without it. Raises BadRequest, Forbidden, NotFound. Safe
        to repeat."""
        for _ in range(_TRIES):
            chunk = self._held(lease, voter)
            job = self._store.jobs.by_id(chunk.job) if chunk else None
            if chunk is None or job is None:
                return "late"
            payload = _payload(running_job(job), answer)
            changes, late = self._take_in(running_job(job), voter, chunk, lease, payload)
            if late or not changes or self._store.chunks.compare_and_set(changes, secrets.token_hex(8)):
                self._count(running_job(job), changes if not late else [])
                return "late" if late else "counted"
        raise Conflict("others answered at the same time, again and again: send it once more")

    def skip(self, voter: Voter, lease: str) -> int | None:
        """Give a question back unanswered; the index of its chunk. Raises Forbidden, NotFound."""
        for _ in range(_TRIES):
            chunk = self._held(lease, voter)
            if chunk is None:
                return None
            after = lifecycle.release(chunk, lease).chunk
            if after is chunk or self._store.chunks.compare_and_set([(chunk, after)], secrets.token_hex(8)):
                return chunk.index
        return None

    def _asking(self, job: str) -> RunningJob | None:
        """The job, where it still asks. Raises NotFound where it never did."""
        document = self._store.jobs.by_id(job)
        if document is None or document["spec"]["map"].get("question") is None:
            raise NotFound(f"there is no job {job} that asks people")
        return running_job(document) if document["state"] == "running" and not document.get("waits_for") else None

    def _lease(self, job: RunningJob, voter: Voter, skipped: Collection[int]) -> Chunk | None:
        client = {
            "_id": voter.id,
            "owner": voter.id,
            "seen": self._store.duties.read_now(),
            "person": True,
            "allocation": {"containers": 1},
        }
        for _ in range(_TRIES):
            offered = self._scheduling.choose(client, [job], _OPEN_LOOKED_AT, set(), "").changes
            offered = [change for change in offered if change[0].index not in skipped]
            if not offered:
                break
            chosen = secrets.choice(offered)  # people who ask at once seldom get the same
            if self._store.chunks.compare_and_set([chosen], secrets.token_hex(8)):
                return chosen[1]
        fresh, ranges = self._scheduling.issue(client, [job], 1, "")
        for job_id, closed in ranges.items():
            self._store.jobs.count(job_id, {}, closed)
        return fresh[0] if fresh else None

    def _question(self, job: RunningJob, chunk: Chunk, voter: Voter) -> Question:
        content = self._inputs.open(job.document, job.spec, chunk)
        if content is None or not content.pieces:
            raise NotFound(f"chunk {chunk.index} of job {job.id} has no file to ask about")
        lease = next(each for each in lifecycle.live_leases(chunk) if each.startswith(f"{voter.id}."))
        return Question(job, lease, content.pieces[0].name, content)

    def _held(self, lease: str, voter: Voter) -> Chunk | None:
        if not lease.startswith(f"{voter.id}."):
            raise Forbidden("this question was asked of somebody else")
        return self._store.chunks.by_id(lifecycle.chunk_of_lease(lease))

    def _take_in(
        self, job: RunningJob, voter: Voter, chunk: Chunk, lease: str, payload: bytes
    ) -> tuple[list[tuple[Chunk, Chunk]], bool]:
        """The change that an answer makes, and whether it came too late."""
        deadline = next((replica.deadline for replica in chunk.replicas if replica.lease == lease), 0.0)
        now = self._store.duties.read_now()
        report = ResultReport(
            lease=lease,
            outcome="done",
            digest=hashlib.sha256(payload).hexdigest(),
            size=len(payload),
            payload=payload,
            wall_s=max(0.0, now - (deadline - deadline_s(job.spec))),
        )
        chunks, intake = {chunk.id: chunk}, Intake(now=now)
        durable, _ = self._verification.store_payloads(voter.id, [report], chunks)
        self._verification.take_in(voter.id, [report], chunks, durable, intake)
        status = intake.acks[lease][1].status if lease in intake.acks else "unknown"
        return [(before, _in_peoples_words(after)) for before, after in intake.changes.values()], status != "stored"

    def _count(self, job: RunningJob, changes: list[tuple[Chunk, Chunk]]) -> None:
        for counted in self._verification.count(changes, lambda _, replica: replica.wall_s).values():
            self._store.jobs.count(job.id, counted)


def _payload(job: RunningJob, answer: str) -> bytes:
    """An answer as it is stored. Raises BadRequest where it is none of the choices."""
    answer = " ".join(answer.split())
    choices = job.spec.map.choices
    if choices and answer not in {" ".join(choice.split()) for choice in choices}:
        raise BadRequest("the answer is none of the choices")
    if not 0 < len(answer) <= LONGEST_ANSWER:
        raise BadRequest(f"an answer has 1 to {LONGEST_ANSWER} letters")
    return f"{answer}\n".encode()


def _in_peoples_words(chunk: Chunk) -> Chunk:
    if chunk.state != "failed":
        return chunk
    answers = sum(1 for replica in chunk.replicas if replica.state == "returned")
    words = f"chunk {chunk.index} got {answers} answers and no {chunk.quorum} of them are equal: people do not agree"
    return msgspec.structs.replace(chunk, error=words)
