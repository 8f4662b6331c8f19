"""Duty: what follows from a client that was found wrong in a job, outvoted by a quorum or by a failed canary.

A finding goes through the states of store/findings.py: the client's leases of the job end, all results that rest on its
word alone are opened again, then those that rest on its word and on that of others that were found wrong. Where those
who outvoted a client are found wrong later, it is judged again, and the finding is taken back if it was right. Every
step is a compare-and-set and safe to repeat, and the finding moves on after it: a master may die at any point.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
import structlog

from dockercomp.protocol.orders import JobSpec
from server import lifecycle
from server.amending import Amending, Change, opens
from server.lifecycle import Chunk
from server.running import asks_people
from server.store import Store
from server.store.connection import Document
from server.store.findings import PENDING
from server.tallies import why_wrong

_log = structlog.get_logger("lookback")

GROUP = 500
"""Chunks that are looked at in one go …"""
MOST_GROUPS = 20
"""… and groups in one round of housekeeping; the finding says where the next round goes on."""


class LookBack:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._amending = Amending(store)

    def round(self, running: Sequence[Document]) -> None:
        """Follow what was found since the last round."""
        for chunk in self._store.reviews.newly_wrong(GROUP):
            self._note(chunk)
        pending: dict[str, list[Document]] = {}
        for _ in PENDING:  # one state after the other, where nothing has to be waited for
            pending = self._pending()
            for job, found in pending.items():
                self._follow(job, found)
        for left in running:  # by a master that died between its last step and this one
            if left.get("reviewing") and left["_id"] not in pending:
                self._store.editions.reviewed(left["_id"])

    def _pending(self) -> dict[str, list[Document]]:
        by_job: dict[str, list[Document]] = defaultdict(list)
        for finding in self._store.findings.pending():
            by_job[finding["job"]].append(finding)
        return by_job

    def _note(self, chunk: Chunk) -> None:
        """Make findings of a chunk's wrong results; then the chunk shows them no more."""
        job = self._store.jobs.by_id(chunk.job)
        by = [replica.client for replica in lifecycle.support(chunk)]
        for replica in chunk.replicas if job is not None and not _is_question(job, chunk) else ():
            if replica.wrong and not replica.doubted:
                self._store.findings.note(chunk.job, replica.client, replica.owner, chunk.id, by)
                self._store.clients.found_wrong(replica.client, chunk.job, why_wrong(chunk, replica))
                _log.warning("a client was found wrong", client=replica.client, chunk=chunk.id)
        self._amending.change([(chunk, lifecycle.followed_up(chunk))])

    def _follow(self, job_id: str, found: Sequence[Document]) -> None:
        job = self._store.jobs.by_id(job_id)
        if job is None or job["state"] not in ("running", "completed"):
            for finding in found:
                self._store.findings.move(finding, "resting" if job else "done")
            return
        review = Review(self._store, job, found[0])
        steps: dict[str, Callable[[Review, Sequence[Document]], bool]] = {
            "found": self._open_sole,
            "shared": self._open_shared,
            "judging": self._judge,
        }
        done = True
        for state, step in steps.items():
            here = [finding for finding in found if finding["state"] == state]
            done &= not here or step(review, here)
        if done and review.begun:
            self._store.editions.reviewed(job_id)

    # --- found: what rests on one word -------------------------------------------------------------------------------

    def _open_sole(self, review: "Review", found: Sequence[Document]) -> bool:
        """Whether it is done for all of them."""
        done = [self._open_sole_of(review, finding) for finding in found]
        return all(done)

    def _open_sole_of(self, review: "Review", finding: Document) -> bool:
        job, client = finding["job"], finding["client"]
        for _ in range(MOST_GROUPS):
            chunks = self._store.reviews.resting_on(job, client, GROUP)
            if not chunks:
                self._end_leases(job, client)
                return self._store.findings.move(finding, "shared", after="")
            opened = self._apply(review, [(chunk, lifecycle.doubt(chunk, client)) for chunk in chunks])
            self._store.findings.opened(finding, len(opened))
        return False

    def _end_leases(self, job: str, client: str) -> None:
        held = [chunk for chunk in self._store.chunks.held_by(client, 4 * GROUP) if chunk.job == job]
        self._amending.change([(chunk, _without(chunk, client)) for chunk in held])

    # --- shared: what rests on the words of several that were found wrong --------------------------------------------

    def _open_shared(self, review: "Review", found: Sequence[Document]) -> bool:
        """One look at the job's chunks for all of them together. Whether it is done."""
        job, all_found = found[0]["job"], self._store.findings.of_job(found[0]["job"])
        clients = {finding["client"] for finding in all_found}
        after = min(finding.get("after", "") for finding in found)
        for _ in range(MOST_GROUPS):
            chunks = self._store.reviews.shared_by(job, clients, after, GROUP)
            if len(self._apply(review, [(chunk, _doubt_all(chunk, clients)) for chunk in chunks])) < len(chunks):
                continue  # a chunk changed meanwhile: it is looked at again
            if len(chunks) < GROUP:
                self._judge_others(job, clients)
                moved = [self._store.findings.move(finding, "judging") for finding in found]
                return all(moved)
            after = chunks[-1].id
        for finding in found:
            self._store.findings.move(finding, "shared", after=after)
        return False

    def _judge_others(self, job: str, clients: set[str]) -> None:
        """Those whom these clients outvoted."""
        for finding in self._store.findings.outvoted_by(job, clients):
            self._store.findings.move(finding, "judging")

    # --- judging: was it wrong after all? ----------------------------------------------------------------------------

    def _judge(self, review: "Review", found: Sequence[Document]) -> bool:
        for finding in found:
            self._judge_one(review, finding)
        return True

    def _judge_one(self, review: "Review", finding: Document) -> None:
        chunks, client = self._store.chunks.by_ids(finding["chunks"]), finding["client"]
        again = self._apply(review, [(chunk, lifecycle.rejudge(chunk)) for chunk in chunks])
        if again or any(chunk.state == "open" for chunk in chunks):
            return
        wrong = any(replica.wrong and replica.client == client for chunk in chunks for replica in chunk.replicas)
        if wrong or self._store.reviews.any_wrong(finding["job"], client):
            self._store.findings.move(finding, "done")
        else:
            self._take_back(finding)

    def _take_back(self, finding: Document) -> None:
        job, client = finding["job"], finding["client"]
        while doubted := self._store.reviews.doubted_of(job, client, GROUP):
            self._amending.change([(chunk, lifecycle.absolve(chunk, client)) for chunk in doubted])
        self._store.clients.cleared(client, job, len(finding["chunks"]))
        self._store.findings.move(finding, "taken back")
        _log.info("a finding was taken back", client=client, job=job)

    def _apply(self, review: "Review", changes: Sequence[Change]) -> list[Change]:
        """Store changes; such as open chunks again only under review, so that nothing ends or reads them meanwhile."""
        if any(map(opens, changes)) and not review.begin():
            return []
        return self._amending.change(changes)


class Review:
    """A job while its chunks are opened again; a completed one is withdrawn by the first of them."""

    def __init__(self, store: Store, job: Document, finding: Document) -> None:
        self._store = store
        self.job = job
        self.begun = bool(job.get("reviewing"))
        self._reason = _reason(finding)

    def begin(self) -> bool:
        """False where the job ended meanwhile, otherwise than by being completed."""
        if not self.begun:
            store, job = self._store.editions, self.job["_id"]
            self.begun = store.review(job) or store.withdraw(job, self._reason)
        return self.begun


def _reason(finding: Document) -> str:
    return (
        f"client {finding['client']}, on whose word some results rested, was found wrong in chunk"
        f" {finding['chunks'][0]}: they are checked by others"
    )


def _is_question(job: Document, chunk: Chunk) -> bool:
    """People who disagree are not wrong."""
    return asks_people(msgspec.convert(job["spec"], JobSpec), chunk.stage)


def _doubt_all(chunk: Chunk, clients: set[str]) -> Chunk:
    for client in dict.fromkeys(replica.client for replica in chunk.replicas):
        if client in clients:
            chunk = lifecycle.doubt(chunk, client)
    return chunk


def _without(chunk: Chunk, client: str) -> Chunk:
    for replica in chunk.replicas:
        if replica.client == client:
            chunk = lifecycle.release(chunk, replica.lease).chunk
    return chunk
