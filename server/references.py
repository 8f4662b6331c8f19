"""What a job refers to by digest: everything that must stay stored as long as the job does."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from dockercomp.protocol.views import InputFile, SubmitRequest
from server.manifests import Manifest
from server.running import stages_of
from server.sources import Sources
from server.store import Store
from server.store.blobs import stream
from server.store.connection import Document
from server.store.contents import read_all

_DIGEST = re.compile(r"[0-9a-f]{64}")
_TABLES = frozenset({"inputs", "file_table"})


class References:
    """Every method streams, and raises NotFound where something that a job refers to is not there."""

    def __init__(self, store: Store, sources: Sources) -> None:
        self._store = store
        self._sources = sources

    def of_job(self, job: Document, *, all_results: bool = False) -> Iterator[str]:
        """The digests that a job refers to, some more than once; with `all_results` also of results not chosen."""
        yield from self._of_fields(job)
        for number in range(len(job["stages"])):
            if all_results or not self._listed(job, number):
                yield from self._store.chunks.digests(job["_id"], number)

    def of_images(self) -> Iterator[str]:
        return (image["archive"] for image in self._store.images.all())

    def _of_fields(self, job: Document) -> Iterator[str]:
        """Every digest that stands in the document, and what the tables and manifests among them list."""
        for key, digest in _digests(job):
            yield digest
            if key in _TABLES:
                yield from self._of_table(digest)
            elif key == "manifest":
                yield from self._of_manifest(digest)
            elif key == "sections":
                yield from self._of_sections(digest)
            elif key == "asked":
                yield from self._of_request(digest)

    def _of_table(self, digest: str) -> Iterator[str]:
        for row in self._sources.table(digest).rows():
            if row.extent.kind == "url":
                continue
            yield row.extent.digest
            if row.extent.kind == "results":
                yield from self._of_manifest(row.extent.digest)
            if row.extent.label.quotes:
                yield row.extent.label.quotes

    def _of_manifest(self, digest: str) -> Iterator[str]:
        manifest = self._sources.manifest(digest)
        return (manifest.entry(number)[0] for number in range(len(manifest)))

    def _of_sections(self, digest: str) -> Iterator[str]:
        """The tables of the reducers; their rows are results, which the manifest lists."""
        packed = read_all(self._store.blobs.open(digest))
        return (packed[at : at + 32].hex() for at in range(0, len(packed), 32))

    def _of_request(self, digest: str) -> Iterator[str]:
        """The inputs of a job that waits for others' results."""
        asked = msgspec.json.decode(read_all(self._store.blobs.open(digest)), type=SubmitRequest)
        yield from (file.digest for file in asked.inputs if file.digest)
        if asked.input_list:
            yield asked.input_list
            for line in b"".join(stream(self._store.blobs.open(asked.input_list))).splitlines():
                yield msgspec.json.decode(line, type=InputFile).digest

    def _listed(self, job: Document, number: int) -> bool:
        """Whether a manifest lists the results of a stage that is complete."""
        if job["stages"][str(number)].get("manifest"):
            return True
        manifest = (job.get("result") or {}).get("manifest")
        if manifest is None or number < len(job["stages"]) - 1:
            return False
        whole: Manifest = self._sources.manifest(manifest)
        return len(whole) == int(stages_of(job)[number]["total"])


def _digests(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string of 64 hex digits in a document, with the key that leads to it (the outer one for `digest`)."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _digests(inner, key if name == "digest" else name)
    elif isinstance(value, list):
        for inner in value:
            yield from _digests(inner, key)
