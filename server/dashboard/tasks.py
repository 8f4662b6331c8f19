"""Questions to people: what there is to answer, one question at a time, and links for people without an account."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_limiter import Limiter
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse

from dockercomp.protocol.errors import BadRequest, Forbidden, NotFound
from server.api.services import Services
from server.dashboard import answer_links
from server.dashboard.answer_links import AnswerLink
from server.dashboard.results import as_picture, look
from server.labelling import Labelling, Question, Voter
from server.store.connection import Document

_MOST_SKIPPED = 50
_MOST_DAYS = 365


@dataclass(frozen=True)
class Desk:
    """Where someone answers one job's questions: by an account, or by a link (`signed`)."""

    job: str
    voter: Voter
    signed: str = ""

    def url(self, what: str = "ask", **query: Any) -> str:
        if self.signed:
            return url_for(f"answers.{what}", signed=self.signed, **query)
        return url_for(f"tasks.{what}", job=self.job, **query)

    @property
    def layout(self) -> str:
        return "dashboard/tasks/visitor.html" if self.signed else "dashboard/base.html"


def make(services: Services, labelling: Labelling, limiter: Limiter) -> tuple[Blueprint, Blueprint]:
    """The pages of people with an account, and those of visitors."""
    return _for_people(services, labelling), _for_visitors(services, labelling, limiter)


def _for_people(services: Services, labelling: Labelling) -> Blueprint:
    pages = Blueprint("tasks", __name__, url_prefix="/tasks")

    @pages.get("")
    def tasks() -> str:
        return render_template("dashboard/tasks/list.html", jobs=[_progress(each) for each in labelling.jobs()])

    def desk(job: str) -> Desk:
        if current_user.role == "viewer":
            raise Forbidden("a viewer may look, and answer nothing; ask an admin for another role")
        return Desk(job, Voter.signed_in(current_user.id))

    @pages.get("/<job>")
    def ask(job: str) -> str:
        return _ask(services, labelling, desk(job))

    @pages.post("/<job>")
    def answer(job: str) -> AnyResponse:
        return _answer(labelling, desk(job))

    @pages.get("/<job>/input")
    def content(job: str) -> Response:
        return _content(labelling, desk(job))

    @pages.post("/<job>/link")
    def link(job: str) -> Response:
        document = services.job(job)
        days = request.form.get("days", "")
        if not (days.isascii() and days.isdigit() and 1 <= int(days) <= _MOST_DAYS):
            raise BadRequest(f"A link is valid for 1 to {_MOST_DAYS} days.")
        signed = answer_links.sign(services.secrets.flask, AnswerLink(job, int(time.time()) + 86400 * int(days)))
        address = services.settings.url + url_for("answers.ask", signed=signed)
        return Response(render_template("dashboard/tasks/link.html", job=document, link=address, days=int(days)), 201)

    return pages


def _for_visitors(services: Services, labelling: Labelling, limiter: Limiter) -> Blueprint:
    pages = Blueprint("answers", __name__, url_prefix="/answer")

    def job_of(signed: str) -> str:
        link = answer_links.read(services.secrets.flask, signed, time.time())
        if link is None:
            raise NotFound("This link is not whole, or has expired: ask for a new one.")
        return link.job

    def desk(signed: str) -> Desk | None:
        """Where this browser answers; None before its visitor has begun."""
        job = job_of(signed)
        if current_user.is_authenticated and current_user.role != "viewer":
            return Desk(job, Voter.signed_in(current_user.id), signed)  # who has an account is that one voter
        return Desk(job, Voter.visitor(session["voter"]), signed) if "voter" in session else None

    @pages.get("/<signed>")
    def ask(signed: str) -> str:
        """Nothing is leased by a look alone: mail and chat programs fetch links to preview them."""
        found = desk(signed)
        if found is None:
            return render_template("dashboard/tasks/welcome.html", job=services.job(job_of(signed)), signed=signed)
        return _ask(services, labelling, found)

    @pages.post("/<signed>")
    @limiter.limit("240/minute")
    def answer(signed: str) -> AnyResponse:
        found = desk(signed)
        if found is None:
            session["voter"] = secrets.token_hex(8)
            session.permanent = True
            return redirect(url_for("answers.ask", signed=signed), 303)
        return _answer(labelling, found)

    @pages.get("/<signed>/input")
    def content(signed: str) -> Response:
        found = desk(signed)
        if found is None:
            raise NotFound("nothing was asked here yet")
        return _content(labelling, found)

    return pages


def _ask(services: Services, labelling: Labelling, desk: Desk) -> str:
    if request.args.get("again"):
        _memory("skipped").pop(desk.job, None)
    skipped = _memory("skipped").get(desk.job, [])
    question = labelling.next(desk.job, desk.voter, skipped)
    context: dict[str, Any] = {
        "desk": desk,
        "job": _progress(services.job(desk.job)),
        "question": question,
        "skipped": len(skipped),
        "answered": _memory("answered").get(desk.job, 0),
        "late": request.args.get("late"),
    }
    if question is not None:
        context |= {"seen": look(question.content), "picture": desk.url("content", lease=question.lease)}
    return render_template("dashboard/tasks/ask.html", **context, keys=_keys(question))


def _answer(labelling: Labelling, desk: Desk) -> AnyResponse:
    lease, late = request.form.get("lease", ""), None
    if "skip" in request.form:
        index = labelling.skip(desk.voter, lease)
        if index is not None:
            skipped = _memory("skipped")
            skipped[desk.job] = [*skipped.get(desk.job, []), index][-_MOST_SKIPPED:]
    elif labelling.answer(desk.voter, lease, request.form.get("answer", "")) == "counted":
        answered = _memory("answered")
        answered[desk.job] = answered.get(desk.job, 0) + 1
    else:
        late = 1
    return redirect(desk.url("ask", late=late), 303)


def _content(labelling: Labelling, desk: Desk) -> Response:
    return as_picture(labelling.content(desk.job, desk.voter, request.args.get("lease", "")))


def _memory(what: str) -> dict[str, Any]:
    """What this browser's cookie remembers by job; of the last few jobs."""
    found: dict[str, Any] = dict(list(session.get(what, {}).items())[-10:])
    session[what] = found
    return found


def _keys(question: Question | None) -> list[tuple[str, str]]:
    """The choices with their keys: 1 to 9 for the first nine."""
    choices = question.choices if question else []
    return [(choice, str(number) if number < 10 else "") for number, choice in enumerate(choices, 1)]


def _progress(job: Document) -> dict[str, Any]:
    counters = job.get("counters", {})
    return {
        "id": job["_id"],
        "name": job["name"],
        "owner": job["owner"],
        "state": job["state"],
        "question": job["spec"]["map"].get("question", ""),
        "quorum": job["spec"].get("verify", {}).get("quorum", 2),
        "total": job["stages"]["0"]["total"],
        "accepted": min(counters.get("accepted_0", 0), job["stages"]["0"]["total"]),
        "answers": counters.get("returned", 0),
    }
