"""What a job has given: the result on its page, its files, and its pictures."""

from typing import Any

from flask import Blueprint, Response, render_template, request

from dockercomp.protocol.errors import Busy, DockercompError, NotFound, NotPlottable
from server.answers import Answers
from server.api.services import Services
from server.dashboard.preview import LOOK, Preview, preview
from server.lifecycle import Chunk
from server.plots.raster import shown
from server.plots.reading import MOST_BYTES, CannotPlot
from server.results import has_files
from server.store.blobs import BlobReader
from server.store.connection import Document

_FILES_ON_THE_JOBS_PAGE = 8
_ANSWERS_ON_THE_JOBS_PAGE = 12
_FILES = 50
_PREVIEWED = 200
"""Results of a running job that its preview begins with."""
_NAMES_OF_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".bmp")


def make(services: Services) -> Blueprint:
    pages = Blueprint("results", __name__, url_prefix="/jobs/<job>")

    @pages.get("/files")
    def files(job: str) -> str:
        document = services.job(job)
        after = request.args.get("after", "")
        page = services.results.files(document, after, _FILES)
        return render_template("dashboard/results/files.html", job=document, page=page, after=after, **_kinds())

    @pages.get("/file")
    def file(job: str) -> str:
        document, name = services.job(job), request.args.get("name", "")
        seen = look(services.results.file(document, name))
        return render_template("dashboard/results/file.html", job=document, name=name, seen=seen)

    @pages.get("/picture")
    def picture(job: str) -> Response:
        """The result, or one of its files, where it is a picture that can be shown."""
        document, name = services.job(job), request.args.get("name", "")
        return as_picture(services.results.file(document, name) if name else services.results.whole(document))

    @pages.get("/answers.csv")
    def answers(job: str) -> Response:
        document = services.job(job)
        if document["spec"]["map"].get("question") is None:
            raise NotFound(f"job {job} asks nobody")
        headers = {"Content-Disposition": f'attachment; filename="answers-{job}.csv"'}
        return Response(_answers(services).csv(document), content_type="text/csv; charset=utf-8", headers=headers)

    return pages


def _answers(services: Services) -> Answers:
    return Answers(services.store, services.names)


def answers_of(services: Services, chunk: Chunk) -> dict[str, str]:
    """What people answered about a chunk, by digest."""
    return _answers(services).of({replica.digest for replica in chunk.replicas if replica.digest})


def result(services: Services, document: Document) -> dict[str, Any]:
    """What the job's page shows of its result, or of what is accepted so far."""
    context: dict[str, Any] = {"job": document, "files": None, "seen": None, "so_far": None, **_kinds()}
    completed = document["state"] == "completed"
    if not completed:
        context["so_far"] = services.results.so_far(document, _PREVIEWED)
    if not completed and not context["so_far"].results:
        return context
    try:
        if document["spec"]["map"].get("question") is not None:
            context["answers"] = _answers(services).page(document, limit=_ANSWERS_ON_THE_JOBS_PAGE)
        if has_files(document):
            context["files"] = services.results.files(document, "", _FILES_ON_THE_JOBS_PAGE)
        else:
            context["seen"] = look(services.results.whole(document) if completed else context["so_far"].reader)
    except DockercompError as error:
        context["lost"] = str(error)
    return context


def plots(services: Services, document: Document) -> dict[str, Any]:
    """The declared plots: drawn, or why not."""
    found = []
    for number, spec in enumerate(document["spec"].get("plots", []), 1):
        plot: dict[str, Any] = {"number": number, "title": spec.get("title") or f"Plot {number}"}
        try:
            drawn = services.plotting.plot(document, number)
            plot |= {"summary": drawn.summary, "csv": bool(drawn.csv), "mark": services.plotting.mark(document)}
        except (Busy, NotPlottable, NotFound) as error:
            plot["refused"] = str(error)
        found.append(plot)
    return {"job": document, "plots": found}


def look(reader: BlobReader) -> Preview:
    return preview(reader.read_at(0, min(reader.size, LOOK)), reader.size)


def as_picture(reader: BlobReader) -> Response:
    """Raises NotFound where it is no picture, or too large a one."""
    try:
        found = shown(reader.read_at(0, reader.size)) if reader.size <= MOST_BYTES else None
    except CannotPlot:
        found = None
    if found is None:
        raise NotFound("this is no picture that can be shown here")
    kind, data, _, _ = found
    return Response(data, content_type=kind, headers={"Cache-Control": "private, max-age=300"})


def _kinds() -> dict[str, Any]:
    return {"pictured": lambda file: file.size <= MOST_BYTES and file.name.lower().endswith(_NAMES_OF_PICTURES)}
