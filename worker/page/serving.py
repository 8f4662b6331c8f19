"""The page over HTTP, on 127.0.0.1 alone and at a secret address.

Any program on this machine, and any web page in its owner's browser, can reach the port: so each path begins with a
random token, the Host header must name this address (else a foreign name could be made to lead here), and what changes
something must come from the page itself (Origin).
"""

import re
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl

from . import document
from .owner import Owner, Refused

HOST = "127.0.0.1"
_LARGEST_FORM = 16 * 2**10
"""Bytes."""
_FILES = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:;"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HTML = "text/html; charset=utf-8"


class Server(ThreadingHTTPServer):
    """Serves one owner's page at `link` until it is shut down. Raises OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, owner: Owner, port: int = 0) -> None:
        """`port` 0: one that is free."""
        super().__init__((HOST, port), _Handler)
        self.owner, self.token = owner, secrets.token_urlsafe(24)
        self.said = ""
        """What became of the last form, for the page that comes next."""
        port = self.server_address[1]
        self.hosts = (f"{HOST}:{port}", f"localhost:{port}")
        self.link = f"http://{self.hosts[0]}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = 10
    server_version, sys_version = "dockercomp-worker", ""

    def do_GET(self) -> None:
        place = self._place()
        if place is None:
            return
        if place in _FILES:
            self._answer(200, resources.files(__package__).joinpath(place).read_bytes(), _FILES[place])
        elif place == "live":
            self._answer(200, document.live(self.server.owner.view()).encode(), _HTML)
        elif place == "":
            said, self.server.said = self.server.said, ""
            self._page(200, said=said)
        else:
            self._refuse(404, "There is nothing here.")

    def do_POST(self) -> None:
        place = self._place()
        if place is None:
            return
        if self.headers.get("Origin") not in [f"http://{host}" for host in self.server.hosts]:
            self._refuse(403, "This form did not come from the page itself.")
            return
        form = self._form()
        if form is None:
            return
        owner = self.server.owner
        try:
            if place == "pause":
                said = owner.pause(form.get("for", ""))
            elif place == "resume":
                said = owner.resume()
            elif place == "configure":
                said = owner.configure(form)
            else:
                self._refuse(404, "There is nothing here.")
                return
        except (Refused, OSError) as error:
            self._page(422, refused=str(error), typed=form)
        else:
            self.server.said = said
            self._answer(303, b"", _HTML, Location="./")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: paths hold the token."""

    def _place(self) -> str | None:
        """The path below the token; None where the request was refused."""
        if self.headers.get("Host") not in self.server.hosts:
            self._refuse(421, "This address is not one of this page's.")
            return None
        token, slash, place = self.path.removeprefix("/").partition("/")
        if not slash or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(404, "There is nothing here: use the link that the command printed.")
            return None
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            self._refuse(403, "Another site asked for this.")
            return None
        return place

    def _form(self) -> dict[str, str] | None:
        """The fields; None where the request was refused."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,6}", length) or int(length) > _LARGEST_FORM:
            self._refuse(413, "This form is too large.")
            return None
        body = self.rfile.read(int(length))
        return dict(parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True))

    def _page(self, code: int, **said: Any) -> None:
        self._answer(code, document.page(self.server.owner.view(**said)).encode(), _HTML)

    def _refuse(self, code: int, why: str) -> None:
        self._answer(code, f"{why}\n".encode(), "text/plain; charset=utf-8")

    def _answer(self, code: int, body: bytes, kind: str, **more: str) -> None:
        self.send_response(code)
        for name, value in {**_HEADERS, **more, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
