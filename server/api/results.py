"""Routes of results: of a job, its files and plots, and of single chunks, also while the job runs."""

from typing import Any

import msgspec
from flask import Response, request

from dockercomp.protocol.errors import BadRequest, NotFound
from dockercomp.protocol.orders import JobSpec
from dockercomp.protocol.views import ChunkPage, ChunkView, ResultFiles
from server import describing
from server.api.jobs import page_limit
from server.api.responses import plotted, ranged
from server.api.services import Caller, Services
from server.archive import tar
from server.lifecycle import Chunk
from server.store.connection import Document

_STATES = frozenset({"", "open", "accepted", "failed", "cancelled"})


def job_result(services: Services, caller: Caller, _: None, job: str) -> Response:
    document = services.job(job)
    reader = services.results.whole(document)
    return ranged(request, reader, ETag=f'"{document["result"]["digest"]}"')


def job_files(services: Services, caller: Caller, _: None, job: str) -> ResultFiles:
    return services.results.files(services.job(job), request.args.get("cursor", ""), page_limit())


def job_file(services: Services, caller: Caller, _: None, job: str) -> Response:
    name = request.args.get("name", "")
    return ranged(request, services.results.file(services.job(job), name), **_saved_as(name))


def job_archive(services: Services, caller: Caller, _: None, job: str) -> Response:
    document = services.job(job)
    files = services.results.opened(document)
    headers = _saved_as(f"{document['name']}-{job}.tar")
    return Response(tar(files, modified=int(document["ended"])), content_type="application/x-tar", headers=headers)


def job_plot(services: Services, caller: Caller, _: None, job: str, number: str) -> Response:
    form = request.args.get("format", "svg")
    if form not in ("svg", "csv") or not (number.isascii() and number.isdigit() and len(number) < 6):
        raise BadRequest("a plot is asked for by its number from 1, with ?format= svg or csv")
    document = services.job(job)
    plot = services.plotting.plot(document, int(number))
    if form == "csv" and not plot.csv:
        raise NotFound(f"plot {number} is a picture and has no points")
    return plotted(plot.svg if form == "svg" else plot.csv, form)


def job_chunks(services: Services, caller: Caller, _: None, job: str) -> ChunkPage:
    document, limit = services.job(job), page_limit()
    stage, state = request.args.get("stage", ""), request.args.get("state", "")
    found = services.store.chunks.page(
        job, stage_number(document, stage), checked_state(state), request.args.get("cursor", ""), limit
    )
    views = [chunk_view(services, document, each) for each in found]
    return ChunkPage(chunks=views, next=found[-1].id if len(found) == limit else None)


def chunk(services: Services, caller: Caller, _: None, chunk: str) -> ChunkView:
    found = stored_chunk(services, chunk)
    return chunk_view(services, services.job(found.job), found)


def chunk_result(services: Services, caller: Caller, _: None, chunk: str) -> Response:
    found = stored_chunk(services, chunk)
    return ranged(request, services.results.of_chunk(found), ETag=f'"{found.digest}"', **_saved_as(f"{chunk}.out"))


def stored_chunk(services: Services, chunk: str) -> Chunk:
    """Raises NotFound."""
    found = services.store.chunks.by_id(chunk)
    if found is None:
        raise NotFound(f"there is no chunk {chunk}, or it was not handed out yet")
    return found


def chunk_view(services: Services, job: Document, chunk: Chunk) -> ChunkView:
    """A chunk as people see it, with what it computes on."""
    spec = msgspec.convert(job["spec"], JobSpec)
    words = services.names.of(job, spec, chunk.stage, chunk.index)
    return msgspec.structs.replace(describing.chunk(chunk, job), input=words)


def stage_number(job: Document, name: str) -> int | None:
    """The number of a job's stage; None for all. Raises BadRequest."""
    if not name:
        return None
    names = [job["stages"][str(number)]["name"] for number in range(len(job["stages"]))]
    if name not in names:
        raise BadRequest(f"?stage= is {' or '.join(names)}")
    return names.index(name)


def checked_state(state: str) -> str:
    if state not in _STATES:
        raise BadRequest("?state= is open, accepted, failed or cancelled")
    return state


def _saved_as(name: str) -> dict[str, str]:
    """Makes a browser save what it gets, whatever it holds, under its own name."""
    last = name.rsplit("/", 1)[-1]
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in last)
    quoted = "".join(chr(b) if chr(b).isalnum() and b < 128 else f"%{b:02X}" for b in last.encode(errors="replace"))
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"}


HANDLERS: dict[str, Any] = {
    "job_result": job_result,
    "job_files": job_files,
    "job_file": job_file,
    "job_archive": job_archive,
    "job_plot": job_plot,
    "job_chunks": job_chunks,
    "chunk": chunk,
    "chunk_result": chunk_result,
}
