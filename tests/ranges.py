"""A web server on loopback that speaks Range and ETag, and misbehaves when told to."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Web:
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    """Path to where it redirects."""
    fail: int = 0
    """So many requests are answered with 503."""
    cut: int = 0
    """So many answers end before their last byte."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and Range of every request."""


@contextmanager
def serving() -> Iterator[Web]:
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"web": web}))
    server.daemon_threads = True
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    web: Web
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        web, name = self.web, self.path.lstrip("/")
        web.asked.append((name, self.headers.get("Range", "")))
        if web.fail:
            web.fail -= 1
            self._answer(503)
        elif name in web.moved:
            self._answer(302, Location=web.moved[name])
        elif name not in web.files:
            self._answer(404)
        elif self.headers.get("If-Match", web.etags.get(name)) != web.etags.get(name):
            self._answer(412)
        else:
            self._part(web.files[name], web.etags.get(name))

    def _part(self, data: bytes, etag: str | None) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        assert found, "every request is for a range"
        first, last = int(found[1]), min(int(found[2]), len(data) - 1)
        if first >= len(data):
            self._answer(416)
            return
        more = {"ETag": etag} if etag else {}
        self._answer(206, data[first : last + 1], **{"Content-Range": f"bytes {first}-{last}/{len(data)}"}, **more)

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.web.cut:
            self.web.cut -= 1
            body = body[:-1]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
