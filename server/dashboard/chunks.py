"""Chunks of a job: the list, and a page each that says where its result comes from."""

from typing import Any

from flask import Blueprint, Response, request

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.views import ChunkView, RunningChunk
from server.api.results import checked_state, chunk_view, stage_number, stored_chunk
from server.api.services import Services
from server.api.streams import running_chunks
from server.dashboard.live import Part, show
from server.dashboard.results import answers_of, as_picture, look
from server.lifecycle import Chunk
from server.results import has_files
from server.running import asks_people, running_job, stages_of
from server.store.connection import Document

PAGE = 50
_MOST_RUNNING = 500
STATES = ("open", "accepted", "failed", "cancelled")


def make(services: Services) -> Blueprint:
    pages = Blueprint("chunks", __name__, url_prefix="/jobs/<job>/chunks")

    @pages.get("")
    def chunks(job: str) -> str | Response:
        document = services.job(job)
        every_s = 5 if document["state"] == "running" else 0
        parts = {"list": Part("dashboard/chunks/list.html", lambda: rows(document), every_s)}
        return show("dashboard/chunks/page.html", parts, job=document, chosen=chosen(), **choices(document))

    def rows(document: Document) -> dict[str, Any]:
        asked = chosen()
        number, after = stage_number(document, asked["stage"]), request.args.get("after", "")
        found = services.store.chunks.page(document["_id"], number, checked_state(asked["state"]), after, PAGE + 1)
        views = [chunk_view(services, document, each) for each in found[:PAGE]]
        following = views[-1].id if len(found) > PAGE else ""
        return {"job": document, "chunks": views, "after": after, "following": following, "chosen": asked}

    @pages.get("/<chunk>")
    def chunk(job: str, chunk: str) -> str | Response:
        found, document = stored_chunk(services, chunk), services.job(job)
        if found.job != job:
            raise NotFound(f"job {job} has no chunk {chunk}")
        view = chunk_view(services, document, found)
        every_s = 2 if view.state == "open" and document["state"] == "running" else 0
        parts = {"now": Part("dashboard/chunks/now.html", lambda: now(document, found, view), every_s)}
        return show("dashboard/chunks/chunk.html", parts, job=document, chunk=view)

    def now(document: Document, found: Chunk, view: ChunkView) -> dict[str, Any]:
        context: dict[str, Any] = {
            "job": document,
            "chunk": view,
            "files": None,
            "seen": None,
            "answers": {},
            "running": [],
        }
        if found.state == "open" and document["state"] == "running":
            context["why"] = services.explaining.explain(found.id)
            context["running"] = [
                each for each in running_chunks(services, document, _MOST_RUNNING) if is_of(each, view)
            ]
        if asks_people(running_job(document).spec, found.stage):
            context["answers"] = answers_of(services, found)
        if found.state != "accepted":
            return context
        last = found.stage == len(document["stages"]) - 1
        if last and has_files(document):
            return context | {"files": services.results.files_of_chunk(found)[:PAGE]}
        return context | {"seen": look(services.results.of_chunk(found))}

    @pages.get("/<chunk>/picture")
    def picture(job: str, chunk: str) -> Response:
        return as_picture(services.results.of_chunk(stored_chunk(services, chunk)))

    return pages


def is_of(running: RunningChunk, view: ChunkView) -> bool:
    return (running.stage, running.index) == (view.stage, view.index)


def chosen() -> dict[str, str]:
    return {name: request.args.get(name, "") for name in ("stage", "state")}


def choices(document: Document) -> dict[str, Any]:
    return {"stages": [stage["name"] for stage in stages_of(document)], "states": STATES}
