"""The far side of the scientist's socket: a real HTTP server on loopback that speaks the routes of protocol/routes.py.

It keeps uploads and jobs in memory, checks what a master checks at the seam (token, part checksums, whole digests), and
can be told to answer wrongly.
"""

import hashlib
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from dockercomp.protocol import views
from dockercomp.protocol.errors import (
    BadRequest,
    ChecksumMismatch,
    DockercompError,
    NotFound,
    Unauthorized,
    problem_of,
)
from dockercomp.protocol.keychain import KeyChain
from dockercomp.protocol.messages import Allocation
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.routes import ROUTES
from dockercomp.protocol.scientists import KeyList, KeyRegistration, KeyView
from dockercomp.protocol.signing import fingerprint, possesses, public_key

PIN = ImagePin(name="dockercomp/python", config_digest="sha256:" + "a" * 64, platform="linux/amd64")
SEED = b"m" * 32
"""The master's private key."""
TOKEN = "right"

Answer = tuple[int, dict[str, str], bytes]


def job(state: str = "running", accepted: int = 0, **changes: Any) -> views.JobView:
    stage = views.StageView(name="map", chunks=10, issued=accepted, accepted=accepted)
    values: dict[str, Any] = {
        "id": "j1", "name": "words", "owner": "ada", "state": state, "created": "2026-01-02T03:04:05Z",
        "ended": None if state == "running" else "2026-01-02T03:04:15Z", "stages": [stage], "image": PIN, "quorum": 2,
    }  # fmt: skip
    return views.JobView(**{**values, **changes})


def completed(result: bytes, **changes: Any) -> views.JobView:
    digest = hashlib.sha256(result).hexdigest()
    return job("completed", 10, result_size=len(result), result_digest=digest, **changes)


class FakeMaster:
    """`history` is what a job looks like, one look after the other; the last one stays."""

    def __init__(self) -> None:
        self.url = ""
        self.blobs: dict[str, bytes] = {}
        self.partial: defaultdict[str, bytearray] = defaultdict(bytearray)
        self.history: list[views.JobView] = [job()]
        self.result = b""
        self.files: dict[str, bytes] = {}
        """Of a result of several, by the names that the master gives them."""
        self.forecast = views.Forecast(stages=[], reused=0, clients=0, containers=0)
        self.foretold: list[views.SubmitRequest] = []
        self.running: list[views.RunningChunk] = []
        self.logs: dict[str, tuple[int, bytes]] = {}
        """Of running leases: from which byte it is kept, and what is kept."""
        self.chunks: list[views.ChunkView] = []
        self.speedups: list[views.SpeedupView] = []
        self.images = [views.ImageView(pin=PIN, archive="b" * 64, size=1000)]
        self.listed: list[views.JobView] = []
        self.submitted: list[tuple[str, views.SubmitRequest]] = []
        self.registered: list[views.ImageRegistration] = []
        self.tokens: list[views.TokenRequest] = []
        self.keys: dict[str, KeyView] = {}
        self.chain = KeyChain(key=public_key(SEED))
        self.receipt: bytes | None = b"{}\n"
        self.calls: list[str] = []
        self.failures: list[tuple[str, DockercompError]] = []
        """(route, error): the next call of that route gets that error instead."""
        self.damage: Callable[[bytes], bytes] = lambda data: data
        """What happens to a part of the result on its way."""
        self.gate: Callable[[int], None] = lambda offset: None
        """Called before a part is taken; may hold it up."""
        self.called = threading.Condition()

    def handle(self, name: str, parts: dict[str, str], query: dict[str, str], headers: Any, body: bytes) -> Answer:
        with self.called:
            self.calls.append(name)
            self.called.notify_all()
            if headers.get("Authorization") != f"Bearer {TOKEN}":
                raise Unauthorized()
            held = name == "blob_put"
            for planned in [each for each in self.failures if each[0] == name][:1]:
                self.failures.remove(planned)
                raise planned[1]
        if held:
            self.gate(int(query["offset"]))
        with self.called:
            found = getattr(self, f"_{name}")(parts, query, headers, body)
        return found if isinstance(found, tuple) else (200, {}, msgspec.json.encode(found))

    def wait_for(self, name: str, times: int = 1, timeout: float = 30.0) -> None:
        """Until the route was called so often."""
        with self.called:
            assert self.called.wait_for(lambda: self.calls.count(name) >= times, timeout), self.calls

    def _blob_status(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return self._status(parts["digest"])

    def _blobs_missing(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        asked = msgspec.json.decode(body, type=views.DigestList)
        assert len(asked.digests) <= 10_000
        return views.DigestList(digests=[digest for digest in asked.digests if digest not in self.blobs])

    def _status(self, digest: str) -> views.BlobStatus:
        if digest in self.blobs:
            return views.BlobStatus(digest=digest, offset=len(self.blobs[digest]), complete=True)
        return views.BlobStatus(digest=digest, offset=len(self.partial[digest]), complete=False)

    def _blob_put(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        digest, here = parts["digest"], self.partial[parts["digest"]]
        if headers["Content-Digest"] != content_digest(body):
            raise ChecksumMismatch("the part differs")
        if int(query["offset"]) == len(here):
            here.extend(body)
        if len(here) == int(query["size"]):
            whole = bytes(self.partial.pop(digest))
            if hashlib.sha256(whole).hexdigest() != digest:
                raise ChecksumMismatch("the whole differs")
            self.blobs[digest] = whole
        return self._status(digest)

    def _submit(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        request = msgspec.json.decode(body, type=views.SubmitRequest)
        assert request.program in self.blobs
        assert all(len(self.blobs[each.digest]) >= each.offset + each.size for each in request.inputs)
        self.submitted.append((headers["Idempotency-Key"], request))
        return 201, {}, msgspec.json.encode(self.history[0])

    def _jobs(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        at = int(query.get("cursor", 0))
        following = str(at + 1) if at + 1 < len(self.listed) else None
        return views.JobPage(jobs=self.listed[at : at + 1], next=following)

    def _job(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        if parts["job"] != self.history[0].id:
            raise NotFound(f"there is no job {parts['job']}")
        return self.history.pop(0) if len(self.history) > 1 else self.history[0]

    def _job_cancel(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        self.history = [job("cancelled", error="cancelled by ada")]
        return self.history[0]

    def _job_result(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", headers["Range"])
        assert match is not None
        first = int(match[1])
        data = self.result[first : int(match[2]) + 1]
        answer = {"Content-Digest": content_digest(data)}
        if self.result:
            answer["Content-Range"] = f"bytes {first}-{first + len(data) - 1}/{len(self.result)}"
        return 206 if self.result else 200, answer, self.damage(data)

    def _job_forecast(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        self.foretold.append(msgspec.json.decode(body, type=views.SubmitRequest))
        return self.forecast

    def _job_files(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        at, names = int(query.get("cursor", 0)), list(self.files)
        found = [views.ResultFile(name=name, size=len(self.files[name])) for name in names[at : at + 2]]
        return views.ResultFiles(files=found, next=str(at + 2) if at + 2 < len(names) else None)

    def _job_file(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        if query["name"] not in self.files:
            raise NotFound(f"the result has no file {query['name']}")
        data = self.files[query["name"]]
        return 200, {"Content-Digest": content_digest(data)}, data

    def _master_keys(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return self.chain

    def _job_receipt(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        if self.receipt is None:
            raise NotFound("no receipt")
        return 200, {}, self.receipt

    def _job_speedup(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        found = [each for each in self.speedups if query.get("stage", "") in ("", each.stage)]
        if query.get("format") in ("csv", "svg"):
            return 200, {}, f"{query['format']} of {len(found)}\n".encode()
        return views.SpeedupList(speedups=found)

    def _job_running(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return views.RunningPage(chunks=self.running)

    def _job_stream(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        begin, log = self.logs[query["lease"]]
        start = max(begin, int(query["from"]))
        return 200, {"Stream-From": str(start)}, log[start - begin :]

    def _job_chunks(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        state = query.get("state", "")
        return views.ChunkPage(chunks=[each for each in self.chunks if state in ("", each.state)])

    def _images(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return views.ImageList(images=self.images)

    def _image_register(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        request = msgspec.json.decode(body, type=views.ImageRegistration)
        if request.archive not in self.blobs:
            raise BadRequest("the archive is not here")
        self.registered.append(request)
        pin = msgspec.structs.replace(PIN, name=request.name)
        return views.ImageView(pin=pin, archive=request.archive, size=request.size)

    def _scientist_key(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        if parts["key"] not in self.keys:
            raise NotFound("you have registered no such key")
        return self.keys[parts["key"]]

    def _scientist_keys(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return KeyList(keys=list(self.keys.values()))

    def _scientist_key_register(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        key, asked = parts["key"], msgspec.json.decode(body, type=KeyRegistration)
        assert possesses(key, asked.proof)
        self.keys[key] = KeyView(key=key, fingerprint=fingerprint(key), owner="ada", label=asked.label)
        return 201, {}, msgspec.json.encode(self.keys[key])

    def _scientist_key_revoke(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        key = parts["key"]
        self.keys[key] = msgspec.structs.replace(self.keys[key], revoked="2026-01-02T03:04:05Z")
        return self.keys[key]

    def _clients(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        given = Allocation(version=1, containers=2, cpus=1.0, memory=2**28)
        client = views.ClientView(
            id="c1", name="lab-7", owner="lab", address="127.0.0.1", state="alive", seen_s_ago=1.0,
            status="runs chunks", machine=None, ceiling=None, allocation=given, applied=None, containers=[],
        )  # fmt: skip
        return views.ClientPage(clients=[client])

    def _enrolment_token(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        self.tokens.append(msgspec.json.decode(body, type=views.TokenRequest))
        return views.TokenAnswer(token="dce-1", link="http://m/installer.sh?token=dce-1", command="curl … | sh")

    def _login_link(self, parts: Any, query: Any, headers: Any, body: bytes) -> object:
        return views.LoginLink(link=f"{self.url}/login/once")


@contextmanager
def serving() -> Iterator[FakeMaster]:
    """A FakeMaster on a free port of loopback."""
    master = FakeMaster()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                name, parts = _route(self.command, url.path)
                status, headers, data = master.handle(name, parts, dict(parse_qsl(url.query)), self.headers, body)
            except DockercompError as error:
                status, headers, data = error.status, {}, msgspec.json.encode(problem_of(error))
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(key, value)
            with suppress(ConnectionError):  # whoever asked may be gone
                self.end_headers()
                self.wfile.write(data)

        do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        master.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield master
        finally:
            server.shutdown()
            thread.join()


def _route(method: str, path: str) -> tuple[str, dict[str, str]]:
    for route in ROUTES:
        pattern = re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", route.path)
        match = re.fullmatch(pattern, path)
        if match and route.method == method:
            return route.name, {key: unquote(value) for key, value in match.groupdict().items()}
    raise NotFound(f"no route {method} {path}")
