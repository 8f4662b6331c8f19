"""A small WSGI application for tests of the way that requests take: answers the length of each body."""

from collections.abc import Callable, Iterable
from typing import Any


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if environ["PATH_INFO"] != "/unread":
        length = len(environ["wsgi.input"].read(length))
    said = str(length).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
