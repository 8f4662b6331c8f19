"""Moving a job on: from map to reduce to its end, decided from the chunks themselves. Every step is safe to repeat."""

import hashlib

from server.manifests import Manifest, pack
from server.scheduling import running_job
from server.store import Store
from server.store.blobs import stream
from server.store.connection import Document
from server.store.contents import Concatenation


class Stages:
    def __init__(self, store: Store) -> None:
        self._store = store

    def advance(self, job: Document) -> bool:
        """Move a running job on where its stage is complete or has failed; True where it moved."""
        failed = self._store.chunks.first_failed(job["_id"])
        if failed is not None:
            return self.fail(job["_id"], failed.error)
        if not self._complete(job):
            return False
        manifest, size = self._manifest(job)
        spec = running_job(job).spec
        if job["stage"] == 0 and spec.reduce is not None:
            return self._store.jobs.next_stage(job["_id"], 0, {"digest": manifest, "size": size}, total=1)
        return self._finish(job, manifest, size)

    def fail(self, job: str, error: str) -> bool:
        """End a job as failed, saying why."""
        return self._store.jobs.end(job, "failed", {"error": error})

    def _complete(self, job: Document) -> bool:
        stored = self._store.jobs.by_id(job["_id"])
        if stored is None or stored["stage"] != job["stage"] or stored["state"] != "running":
            return False
        if stored["cursor"] < stored["total"] or stored["open_ranges"] or self._store.chunks.any_open(job["_id"]):
            return False
        return self._store.chunks.count_accepted(job["_id"], job["stage"]) == int(stored["total"])

    def _manifest(self, job: Document) -> tuple[str, int]:
        results = self._store.chunks.canonical_results(job["_id"], job["stage"])
        packed, size = pack((digest, length) for _, digest, length in results)
        return self._store.blobs.put(packed), size

    def _finish(self, job: Document, manifest: str, size: int) -> bool:
        packed = self._store.blobs.open(manifest)
        whole = Concatenation(self._store.payloads, self._store.blobs, Manifest(packed.read_at(0, packed.size)))
        digest = hashlib.sha256()
        for block in stream(whole):
            digest.update(block)
        counted = self._store.chunks.verdict_counts(job["_id"])
        self._store.jobs.set_counters(
            job["_id"],
            {
                "returned": counted["returned"],
                "wrong": counted["wrong"],
                "failed": counted["failed"],
                f"accepted_{job['stage']}": job["total"],
            },
        )
        result = {"manifest": manifest, "size": size, "digest": digest.hexdigest()}
        return self._store.jobs.end(job["_id"], "completed", {"result": result})
