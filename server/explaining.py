"""Duty: saying why a job, a chunk or a client is as it is: one sentence with the way out, then facts."""

import re

import msgspec

from dockercomp import __version__
from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.orders import Independence, JobSpec
from dockercomp.protocol.views import Explanation
from server import describing, lifecycle, reasons, wants
from server.discretion import words_without_others
from server.lifecycle import Chunk
from server.naming import Names
from server.running import RunningJob, able_of, counted_of, platform_of, running_job, stages_of, unfit
from server.scheduling import grantee
from server.sources import Sources
from server.store import Store
from server.store.connection import Document
from server.verification import Verification

_CHUNK = re.compile(r"(j[0-9a-f]+)\.(\d+)\.(\d{1,12})")
_MOST_JOBS = 50
_MOST_LISTED = 5


class Explaining:
    """Reads only; holds no state between calls."""

    def __init__(
        self, store: Store, sources: Sources, silent_after_s: float, independent: Independence = "client"
    ) -> None:
        self._store = store
        self._independent = independent
        self._names = Names(sources)
        self._silent_after_s = silent_after_s
        self._verification = Verification(store)

    def explain(self, subject: str, only_owner: str = "") -> Explanation:
        """`subject` is the id of a job, a chunk (JOB.STAGE.INDEX) or a client, or a client's name. Of a client it tells
        only what concerns jobs of `only_owner`, if given. Raises NotFound."""
        chunk = _CHUNK.fullmatch(subject)
        if chunk:
            return self._chunk(chunk[1], int(chunk[2]), int(chunk[3]))
        job = self._store.jobs.by_id(subject)
        if job is not None:
            return self._job(job)
        client = self._store.clients.by_id(subject) or self._store.clients.named(subject)
        if client is not None:
            return self._client(client, only_owner)
        raise NotFound(f"there is no job, chunk or client {subject}")

    # --- jobs --------------------------------------------------------------------------------------------------------

    def _job(self, job: Document) -> Explanation:
        pool = self._pool()
        facts = [
            f"{stage['name']}: {accepted} of {stage['total']} chunks accepted, {stage['cursor']} handed out"
            for number, stage in enumerate(stages_of(job))
            for accepted in [job.get("counters", {}).get(f"accepted_{number}", 0)]
        ]
        if job.get("missing_count"):
            facts.append(f"given up: {job['missing_count']} chunks, of {'; '.join(job['missing'][:_MOST_LISTED])}")
        if job["state"] == "running":
            facts += self._work(job, pool)
        return Explanation(subject=job["_id"], sentence=self._why(job, pool), facts=facts)

    def _why(self, job: Document, pool: list[Document]) -> str:
        if job["state"] == "completed":
            return f"it is completed; fetch its result: dockercomp results {job['_id']} --output DIR"
        if job["state"] == "failed":
            return f"it failed: {job.get('error', '')}"
        if job["state"] == "cancelled":
            return f"it was {job.get('error') or 'cancelled'}; to go on with it: dockercomp retry {job['_id']}"
        waiting = describing.why_waiting(job, pool)
        if waiting:
            return f"it waits: {waiting}"
        running = self._store.chunks.count_leased(job["_id"])
        if running:
            return f"it runs: {running} chunks are with clients now"
        return "it waits for a client to ask for work: all those that can run it are busy with other jobs, or starting"

    def _work(self, job: Document, pool: list[Document]) -> list[str]:
        running = running_job(job)
        refusals = [(client["name"], unfit(running, client, platform_of(client))) for client in pool]
        facts = [f"{sum(not why for _, why in refusals)} of {len(pool)} connected clients can run it"]
        facts += [f"not {name}: {why}" for name, why in refusals if why][:_MOST_LISTED]
        facts += [said] if (said := wants.said(running.spec, pool)) else []
        facts += self._shares(job)
        failed = job.get("counters", {}).get("failed", 0)
        return [*facts, f"{failed} runs failed: dockercomp logs {job['_id']} --all"] if failed else facts

    def _shares(self, job: Document) -> list[str]:
        """What its owner and others with running jobs used lately, where there are others."""
        owners = {each["owner"] for each in self._store.jobs.running(limit=_MOST_JOBS)} | {job["owner"]}
        used = self._store.usage.of(owners) if len(owners) > 1 else {}
        said = [f"{owner} {used[owner]:.0f} s" for owner in sorted(used, key=lambda owner: used[owner])]
        return [f"served first is who used least lately: {', '.join(said[:_MOST_LISTED])}"] if said else []

    # --- chunks ------------------------------------------------------------------------------------------------------

    def _chunk(self, job_id: str, stage: int, index: int) -> Explanation:
        job = self._store.jobs.by_id(job_id)
        if job is None or stage >= len(job["stages"]):
            raise NotFound(f"there is no job {job_id} with a stage {stage}")
        subject = lifecycle.chunk_id(job_id, stage, index)
        chunk = self._store.chunks.by_id(subject)
        if chunk is None:
            place = stages_of(job)[stage]
            why = reasons.unborn(index, place["cursor"], place["limit"], place["total"])
            return Explanation(subject=subject, sentence=why, facts=self._input(job, stage, index, place["total"]))
        spec = running_job(job)
        facts = [*self._input(job, stage, index, index + 1), *reasons.facts_of_chunk(chunk), *self._differences(chunk)]
        return Explanation(subject=subject, sentence=self._why_chunk(chunk, spec), facts=facts)

    def _why_chunk(self, chunk: Chunk, job: RunningJob) -> str:
        able = able_of(job, self._pool())
        apart = [lifecycle.may_join(chunk, grantee(client, job.spec, self._independent)) for client in able]
        dependent = {client["_id"] for client, may in zip(able, apart, strict=True) if not may}
        return reasons.of_chunk(chunk, [client["_id"] for client in able], dependent)

    def _input(self, job: Document, stage: int, index: int, total: int) -> list[str]:
        if index >= total or job.get("waits_for"):
            return []
        try:
            return [f"input: {self._names.of(job, msgspec.convert(job['spec'], JobSpec), stage, index)}"]
        except NotFound as error:
            return [f"input: {error}"]

    def _differences(self, chunk: Chunk) -> list[str]:
        """Where results that do not agree first differ from the canonical, or else the first one."""
        found = lifecycle.representatives(chunk)
        first = chunk.digest or (found[0] if found else "")
        return [
            f"{other[:12]} and {first[:12]}: {why}"
            for other in found[: _MOST_LISTED + 1]
            if other != first and (why := self._verification.difference(chunk, first, other))
        ]

    # --- clients -----------------------------------------------------------------------------------------------------

    def _client(self, client: Document, only_owner: str) -> Explanation:
        jobs = [running_job(document) for document in self._store.jobs.running(_MOST_JOBS, only_owner)]
        fit = [(job.id, unfit(job, client, platform_of(client))) for job in jobs]
        expected = client["seen"] + client.get("patience", 0.0)
        silent = expected < self._store.duties.read_now() - self._silent_after_s or bool(client.get("leaving"))
        counters = client.get("counters", {})
        facts = [
            f"name {client['name']}, owner {client['owner']}",
            f"results: {counters.get('valid', 0)} right, {counters.get('wrong', 0)} wrong,"
            f" {counters.get('failed', 0)} runs failed",
        ]
        if client.get("marked"):
            facts.append(f"marked: {client['marked']}")
        if client.get("status"):
            facts.append(f"it says: {client['status']}")
        facts += self._given(client)
        facts += [f"not job {job}: {why}" for job, why in fit if why][:_MOST_LISTED]
        faults = [(job.id, counted_of(client, job.id).faults) for job in jobs]
        facts += [f"job {job}: {count} chunks failed here that others completed" for job, count in faults if count]
        sentence = reasons.of_client(client, silent, fit)
        if only_owner:
            own = {job.id for job in jobs}
            sentence, *facts = (words_without_others(words, own) for words in (sentence, *facts))
        return Explanation(subject=client["_id"], sentence=sentence, facts=facts)

    def _given(self, client: Document) -> list[str]:
        """What is wrong with what it is given, and on its volunteer's side."""
        view = describing.client(client, self._store.duties.read_now(), self._silent_after_s)
        parts = view.progress.parts if view.progress else []
        facts = [f"{part.part} {part.state}: {part.why}" for part in parts if part.state in ("failed", "waiting")]
        facts += (
            [f"changed there by somebody: {view.progress.drifted}"] if view.progress and view.progress.drifted else []
        )
        facts += [f"problem there: {problem}" for problem in view.problems]
        if view.old and view.machine:
            theirs = f"its worker is of version {view.machine.worker}, this master's is {__version__}"
            facts.append(f"{theirs}; it is never updated unasked: run installer.sh there again")
        return facts

    def _pool(self) -> list[Document]:
        return self._store.clients.alive_since(self._store.duties.read_now() - self._silent_after_s)
