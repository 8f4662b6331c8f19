"""Live parts of a page: rendered with the page, then fetched again by htmx from the same address with ?part=NAME.

A part is named by the digest of what it shows. The browser sends the digest it has, and an unchanged part is answered
with 204 and no body: what did not change is not touched, so focus, selection and scroll positions stay.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Response, render_template, request, url_for
from markupsafe import Markup

from dockercomp.protocol.errors import NotFound

_KEPT = ("after", "before", "stage", "state")
"""The parameters of a page's address that belong to its parts too."""


@dataclass(frozen=True)
class Part:
    """`context` is asked only when the part is rendered. `every_s` seconds between looks; 0 where it is final.

    What `context` gives as `carry` comes back in the next look's ?carry=.
    """

    template: str
    context: Callable[[], Mapping[str, Any]]
    every_s: int = 2


def show(template: str, parts: Mapping[str, Part], **context: Any) -> str | Response:
    """The whole page, or with ?part= that one of its parts alone. Raises NotFound for an unknown one."""
    name = request.args.get("part")
    if name is None:
        return page(template, parts, **context)
    if name not in parts:
        raise NotFound("this page has no such part")
    html, digest = _render(name, parts[name])
    return Response(status=204) if digest == request.args.get("have") else Response(html)


def page(template: str, parts: Mapping[str, Part], at: str = "", **context: Any) -> str:
    """The whole page, with its rendered parts in `parts`. `at` is the endpoint that shows them, where that is another
    one than was asked."""
    rendered = {name: _render(name, part, at)[0] for name, part in parts.items()}
    return render_template(template, parts=rendered, **context)


def beside(parts: Mapping[str, Part], at: str = "") -> Markup:
    """The parts as they are now, beside the answer to a script: each takes its own place on the page."""
    return Markup().join(_render(name, part, at, beside=True)[0] for name, part in parts.items())


def _render(name: str, part: Part, at: str = "", *, beside: bool = False) -> tuple[Markup, str]:
    context = dict(part.context())
    carry = context.pop("carry", None)
    body = render_template(part.template, **context)
    digest = hashlib.sha256(f"{part.every_s}{body}".encode()).hexdigest()[:16]
    kept: dict[str, Any] = {key: request.args[key] for key in _KEPT if key in request.args}
    kept |= {"part": name, "have": digest, "carry": carry}
    url = url_for(at or request.endpoint or "", **(request.view_args or {}), **kept)
    shown = {"name": name, "url": url, "every_s": part.every_s, "beside": beside}
    whole = render_template("dashboard/live.html", **shown, body=Markup(body))  # noqa: S704  (rendered here, escaped)
    return Markup(whole), digest  # noqa: S704
