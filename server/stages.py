"""Moving a job on, stage by stage, to its end: decided from the chunks themselves. Every step is safe to repeat."""

import hashlib

from dockercomp.protocol.bundle import BadBundle
from dockercomp.protocol.orders import JobSpec
from server import comparators, plan, result_files
from server.closing import Closing
from server.failures import Failures
from server.manifests import Manifest, pack
from server.merging import LineTooLong, merged
from server.running import last_stage, running_job, stages_of
from server.sections import Sections
from server.sources import Sources
from server.stating import Stating
from server.store import Store
from server.store.blobs import BlobReader, stream
from server.store.chunks import Failed
from server.store.connection import Document


class NotWhole(Exception):
    """A result of a stage is not accepted any more: it was opened again in this very moment."""


class Stages:
    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources
        self._sections = Sections(store)
        self._failures = Failures(store, sources)
        self._closing = Closing(store)
        self._stating = Stating(store)

    def advance(self, job: Document) -> bool:
        """Let reducers begin whose inputs are there, and end a running job that is complete or has failed; True where
        something moved."""
        stored = self._store.jobs.by_id(job["_id"])
        if stored is None or stored["state"] != "running" or _not_begun(stored):
            return False
        failed = self._store.chunks.failed_by_stage(stored["_id"])
        try:
            moved = self._advance(stored, running_job(stored).spec, failed)
        except BadBundle as error:
            return self._fail_for_bundle(stored["_id"], error)
        except LineTooLong as error:
            return self._fail(
                stored["_id"], f"{error}, so sorted results cannot be merged; use sort = false, or partitions = 1", {}
            )
        except NotWhole:
            return False
        return moved or self._judge(stored, failed)

    def list_anew(self, job: Document) -> bool:
        """List what the reducers of a flat job read, of whose map a result has changed; False where the map is not
        whole. The reducers have to be run anew afterwards."""
        try:
            listed = self._for_reducers(job, running_job(job).spec, 0)
        except NotWhole:
            return False
        except BadBundle as error:
            self._fail_for_bundle(job["_id"], error)
            return False
        return self._store.jobs.note(job["_id"], {f"stages.0.{key}": value for key, value in listed.items()})

    def _in_doubt(self, job: Document) -> bool:
        """Whether results of it may still be opened again, for what was found of their clients, or have changed since
        they were read."""
        return self._store.reviews.any_due(job["_id"]) or self._store.findings.any_pending(job["_id"])

    def _judge(self, job: Document, failed: dict[int, Failed]) -> bool:
        """End a job whose failed chunks leave nothing to do, or are too many; note those that it has."""
        verdict = self._failures.judge(job, failed)
        if (verdict.error or verdict.noted) and self._in_doubt(job):
            return False
        if verdict.error:
            return self._fail(job["_id"], verdict.error, verdict.noted)
        if verdict.noted:
            self._store.jobs.note(job["_id"], verdict.noted)
        return False

    def _fail_for_bundle(self, job: str, error: BadBundle) -> bool:
        return self._fail(job, f"{error}; submit it again with a quorum", {})

    def _fail(self, job: str, error: str, missing: Document) -> bool:
        return self._store.jobs.end(job, "failed", {"error": error, **missing})

    def _advance(self, job: Document, spec: JobSpec, failed: dict[int, Failed]) -> bool:
        stages, moved = stages_of(job), False
        done = [self._done(job, number, failed) for number in range(len(stages))]
        open_readers = {stage["reads"] for stage in stages if stage["limit"] < stage["total"]}
        for number, stage in enumerate(stages):
            below = stage["reads"]
            if below is None or stage["limit"] >= stage["total"]:
                continue
            complete = done[below] == stages[below]["total"] and self._is_complete(job, spec, below)
            ready = plan.ready(
                spec,
                plan.stage_of(stage),
                done[below] if complete else min(done[below], stages[below]["total"] - 1),
                stages[below]["total"],
            )
            if ready > stage["limit"] and (complete or self._whole(job, spec, number, ready)):
                listed = self._for_reducers(job, spec, below) if complete and not plan.is_tree(spec) else {}
                moved |= self._store.jobs.open_stage(job["_id"], number, ready, listed)
        if open_readers or any(done[number] < stage["total"] for number, stage in enumerate(stages)):
            return moved
        # Stages that others read were counted when these were let begin.
        read = {stage["reads"] for stage in stages}
        ends = [number for number in range(len(stages)) if number not in read]
        if not all(self._counted(job, number) for number in ends) or self._in_doubt(job):
            return moved
        closed = [self._closing.closed(job, spec, number) for number in range(len(stages))]
        return self._finish(job, spec) if all(closed) else moved

    def _done(self, job: Document, number: int, failed: dict[int, Failed]) -> int:
        """How many chunks of a stage, from its first, exist and are accepted."""
        stage = job["stages"][str(number)]
        if not stage["cursor"]:
            return 0
        ends = [opened["start"] for opened in job["open_ranges"] if opened["stage"] == number]
        first_open = self._store.chunks.first_open(job["_id"], number)
        ends += [] if first_open is None else [first_open]
        ends += [failed[number].first] if number in failed else []
        return int(min(stage["cursor"], stage["total"], *ends))

    def _counted(self, job: Document, number: int) -> bool:
        return self._store.chunks.count_accepted(job["_id"], number) == int(job["stages"][str(number)]["total"])

    def _is_complete(self, job: Document, spec: JobSpec, number: int) -> bool:
        """Whether a stage is accepted, nothing of it is in doubt, and the clients' unchecked results are closed."""
        return (
            self._counted(job, number)
            and not (spec.verify.policy != "none" and self._in_doubt(job))
            and self._closing.closed(job, spec, number)
        )

    def _whole(self, job: Document, spec: JobSpec, number: int, ready: int) -> bool:
        """Whether all is accepted that the next reducers of a tree read, up to the one before `ready`. What is neither
        open nor failed may have been cancelled, just before its job was run again."""
        here = plan.stage_of(job["stages"][str(number)])
        assert here.reads is not None
        below = job["stages"][str(here.reads)]["total"]
        first, _ = plan.group(spec, here, job["stages"][str(number)]["limit"], below)
        _, last = plan.group(spec, here, ready - 1, below)
        return self._store.chunks.count_accepted(job["_id"], here.reads, first, last) == last - first

    def _for_reducers(self, job: Document, spec: JobSpec, number: int) -> Document:
        """What the reducers of the next stage read: the list of all results, or of each one's sections."""
        manifest, size = self._manifest(job, number)
        below: Document = {"manifest": {"digest": manifest, "size": size}}
        if plan.divided(spec):
            below["sections"] = self._sections.make(spec, self._sources.manifest(manifest))
        return below

    def _manifest(self, job: Document, number: int) -> tuple[str, int]:
        results = self._store.chunks.canonical_results(job["_id"], number)
        packed, size = pack((digest, length) for _, digest, length in results)
        if len(Manifest(packed)) < job["stages"][str(number)]["total"]:
            raise NotWhole
        return self._store.blobs.put(packed), size

    def _finish(self, job: Document, spec: JobSpec) -> bool:
        wrong = self._checked(job, spec)
        if wrong:
            return self._fail(job["_id"], wrong, {})
        last = last_stage(job)
        manifest, size = self._manifest(job, last)
        if spec.reduce is not None and spec.reduce.sort and plan.sections(spec) > 1 and not plan.bundled(spec, last):
            manifest, size = self._merge(manifest)
        counted = self._store.chunks.verdict_counts(job["_id"])
        totals = {f"accepted_{number}": stage["total"] for number, stage in enumerate(stages_of(job))}
        self._store.jobs.set_counters(job["_id"], {**{key: counted[key] for key in _VERDICTS}, **totals})
        results = self._sources.manifest(manifest)
        digest = results.entry(0)[0] if len(results) == 1 else _digest(self._sources.results(manifest))
        result: Document = {"manifest": manifest, "size": size, "digest": digest, "bundled": plan.bundled(spec, last)}
        if result["bundled"]:
            listed, files = result_files.make(self._store, results)
            result |= {"files": files, "file_table": listed}
        ended = {"result": result, "receipt_due": True, "trust": self._stating.final(job)}
        return self._store.jobs.complete(job["_id"], job.get("reviews"), ended)

    def _checked(self, job: Document, spec: JobSpec) -> str:
        """Why a tree's reducer may not be used so; empty where reducing its sample in two steps gave the same."""
        stages = stages_of(job)
        if not stages[-1]["check"]:
            return ""
        at_once, in_steps = (self._result(job, number, 0) for number in (1, len(stages) - 1))
        difference = comparators.difference(spec.verify, at_once, in_steps, bundled=plan.bundled(spec, 1))
        if not difference:
            return ""
        sample = min(spec.reduce.fan_in if spec.reduce else 0, stages[0]["total"])
        return (
            f"the reducer is not associative, though fan_in says so: the first {sample} results reduced at once and in"
            f" two steps differ ({difference}); leave fan_in out, or let the reducer write what it reads"
        )

    def _result(self, job: Document, stage: int, index: int) -> bytes:
        _, digest, size = next(self._store.chunks.canonical_results(job["_id"], stage, index, index + 1))
        return self._sources.stored(digest).read_at(0, min(size, comparators.LARGEST + 1))

    def _merge(self, manifest: str) -> tuple[str, int]:
        """The sorted results of several reducers as one sorted result, stored as one blob."""
        listed = self._sources.manifest(manifest)
        readers = [self._sources.reopening(listed.entry(number)[0], size) for number, size in enumerate(listed.sizes())]
        digest = self._store.blobs.put_stream(merged(readers))
        size = self._store.blobs.received(digest)
        packed, _ = pack([(digest, size)])
        return self._store.blobs.put(packed), size


def _not_begun(job: Document) -> bool:
    """Whether its chunks are not all in the state that counts: it waits for others' results, takes over its own, or is
    being opened again."""
    return bool(job.get("waits_for") or job.get("reuse") or job.get("reopening") or job.get("reviewing"))


_VERDICTS = ("returned", "wrong", "failed")


def _digest(whole: BlobReader) -> str:
    digest = hashlib.sha256()
    for block in stream(whole):
        digest.update(block)
    return digest.hexdigest()
