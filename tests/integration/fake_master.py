"""A master for the worker's tests: a real HTTP server on loopback that speaks the protocol and hands out given chunks.

Only the far side of the worker's socket is faked: leases, acknowledgements and transfers are real messages.
"""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from dockercomp.protocol import messages as m
from dockercomp.protocol.errors import DockercompError, NotFound, Unauthorized, problem_of
from dockercomp.protocol.keychain import KeyChain, KeyLink
from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.orders import JobOrder, encode_order
from dockercomp.protocol.parts import content_digest
from dockercomp.protocol.signing import public_key, sign_order
from dockercomp.protocol.views import BlobStatus, Health

SEED = bytes(range(32))
TOKEN = "right-token"


@dataclass
class Chunk:
    job: str
    index: int
    input: bytes
    stage: int = 0
    inline: bool = True
    pieces: list[m.Piece] | None = None
    start: int | None = None
    stop: int | None = None
    fetch: list[m.Fetch] | None = None


@dataclass
class FakeMaster:
    """`chunks` are leased in order; a returned one goes back to the front. Everything heard is kept for the tests."""

    allocation: m.Allocation = field(
        default_factory=lambda: m.Allocation(version=1, containers=1, cpus=0.5, memory=128 * 2**20)
    )
    call_again_s: float = 0.3
    chunks: list[Chunk] = field(default_factory=list)
    orders: dict[str, m.SignedOrder] = field(default_factory=dict)
    programs: dict[str, bytes] = field(default_factory=dict)
    images: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    leased: dict[str, Chunk] = field(default_factory=dict)
    done: dict[tuple[str, int], m.ResultReport] = field(default_factory=dict)
    failures: list[m.ResultReport] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    links: list[KeyLink] = field(default_factory=list)
    """The changes of its key, as it shows them."""
    syncs: list[m.SyncRequest] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    enrolments: list[m.EnrolRequest] = field(default_factory=list)
    blobs: dict[str, bytearray] = field(default_factory=dict)
    cancel: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    ack: Callable[[m.ResultReport], m.Ack | None] | None = None
    refuse: DockercompError | None = None
    """Every sync is answered with this error."""
    worker_version: str = ""
    """Of the worker that it serves."""
    lose_answers: int = 0
    """So many syncs are acted upon, but their answer never arrives."""
    token: str = TOKEN
    secret: str = field(default_factory=lambda: secrets.token_hex(8))
    changed: threading.Condition = field(default_factory=threading.Condition)
    port: int = 0
    _answers: dict[tuple[str, int], bytes] = field(default_factory=dict)
    _server: ThreadingHTTPServer | None = None

    # --- what tests do ---

    def start(self) -> "FakeMaster":
        handler = type("Handler", (_Handler,), {"master": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def add_job(self, order: JobOrder, *, seed: bytes = SEED) -> None:
        self.orders[order.job] = sign_order(order.job, encode_order(order), seed)

    def until(self, true: Callable[[], bool], timeout: float = 60.0) -> None:
        """Wait for something that a request brings about."""
        with self.changed:
            assert self.changed.wait_for(true, timeout), f"never happened; last sync: {self.syncs[-1:]}"

    @property
    def last(self) -> m.SyncRequest:
        """The last sync; an empty one before the first."""
        return self.syncs[-1] if self.syncs else m.SyncRequest(protocol=0, session="", seq=0)

    # --- what it answers ---

    def enrol(self, request: m.EnrolRequest) -> m.EnrolAnswer:
        self.enrolments.append(request)
        if request.token != self.token:
            raise Unauthorized("this enrolment token is not valid")
        return m.EnrolAnswer(client="c1", secret=self.secret, master_key=public_key(SEED), owner="lab")

    def sync(self, body: bytes) -> bytes:
        if self.refuse:
            raise self.refuse
        request = msgspec.json.decode(body, type=m.SyncRequest)
        self.bodies.append(body)
        key = (request.session, request.seq)
        if key not in self._answers:
            self.syncs.append(request)
            self._answers[key] = msgspec.json.encode(self._answer(request))
        if self.lose_answers:
            self.lose_answers -= 1
            raise ConnectionAbortedError
        return self._answers[key]

    def _answer(self, request: m.SyncRequest) -> m.SyncAnswer:
        acks = [ack for report in request.results if (ack := self._take(report))]
        refused = {each.job for each in request.refused_jobs}
        taken = [chunk for chunk in self.chunks if chunk.job not in refused][: request.want]
        self.chunks = [chunk for chunk in self.chunks if not any(chunk is each for each in taken)]
        leases = [self._lease(chunk) for chunk in taken]
        jobs = {lease.job for lease in leases} - set(request.known_jobs)
        return m.SyncAnswer(
            protocol=m.PROTOCOL,
            seq=request.seq,
            acks=acks,
            leases=leases,
            orders=[self.orders[job] for job in jobs if job in self.orders],
            cancelled=[lease for lease in request.held if lease in self.cancel],
            closed_jobs=[job for job in request.known_jobs if job in self.closed],
            allocation=self.allocation,
            call_again_s=self.call_again_s,
            why_idle="" if leases else "no job is running",
            worker_version=self.worker_version,
        )

    def _take(self, report: m.ResultReport) -> m.Ack | None:
        if self.ack and (special := self.ack(report)) != m.Ack(lease=report.lease, status="stored"):
            return special
        chunk = self.leased.pop(report.lease, None)
        if chunk is None:
            return m.Ack(lease=report.lease, status="unknown")
        if report.outcome == "returned":
            self.returned.append(report.lease)
            self.chunks.insert(0, chunk)
        elif report.outcome == "failed":
            self.failures.append(report)
        elif report.payload is None and report.digest not in self.blobs:
            self.leased[report.lease] = chunk
            return m.Ack(lease=report.lease, status="send")
        else:
            self.done[chunk.job, chunk.index] = report
        return m.Ack(lease=report.lease, status="stored")

    def _lease(self, chunk: Chunk) -> m.Lease:
        lease = secrets.token_hex(6)
        self.leased[lease] = chunk
        return m.Lease(
            id=lease,
            job=chunk.job,
            stage=chunk.stage,
            index=chunk.index,
            deadline_s=600,
            input=chunk.input if chunk.inline and chunk.fetch is None else None,
            input_size=len(chunk.input) if chunk.inline else 0,
            has_pieces=chunk.pieces is not None,
            start=chunk.start,
            stop=chunk.stop,
            fetch=chunk.fetch,
        )

    def payload(self, job: str, index: int) -> bytes:
        """The result of a chunk that is done."""
        report = self.done[job, index]
        data = bytes(self.blobs[report.digest]) if report.payload is None else report.payload
        assert hashlib.sha256(data).hexdigest() == report.digest
        return data


class _Handler(BaseHTTPRequestHandler):
    master: FakeMaster
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with self.master.changed:
                status, answer, headers = self._route(body)
                self.master.changed.notify_all()
        except DockercompError as error:
            status, answer = error.status, msgspec.json.encode(problem_of(error))
            headers = {"Content-Type": "application/problem+json"}
        except ConnectionAbortedError:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def _route(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        url = urlsplit(self.path)
        parts = url.path.strip("/").split("/")
        if url.path in ("/healthz", "/readyz"):
            return 200, msgspec.json.encode(Health(status="ok")), {}
        if url.path == "/api/v1/keys":
            return 200, msgspec.json.encode(KeyChain(key=public_key(SEED), links=self.master.links)), {}
        if parts[-1] == "enrol":
            request = msgspec.json.decode(body, type=m.EnrolRequest)
            return 200, msgspec.json.encode(self.master.enrol(request)), {}
        if self.headers.get("Authorization") != f"Bearer c1.{self.master.secret}":
            raise Unauthorized
        if parts[-1] == "sync":
            return 200, self.master.sync(body), {}
        return self._transfer(parts[2:], {key: value[0] for key, value in parse_qs(url.query).items()}, body)

    def _transfer(self, parts: list[str], query: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        master, name = self.master, parts[1]
        match [parts[0], *parts[2:]]:
            case ["leases", "input"] if name in master.leased:
                return self._ranged(master.leased[name].input)
            case ["leases", "pieces"] if name in master.leased:
                return 200, msgspec.json.encode(master.leased[name].pieces), {}
            case ["jobs", "program"] if name in master.programs:
                return self._ranged(master.programs[name])
            case ["jobs", "image"] if name in master.images:
                return self._ranged(master.images[name]())
            case ["blobs", "status"]:
                have = master.blobs.get(name, b"")
                size = int(query.get("size", "0"))
                return (
                    200,
                    msgspec.json.encode(BlobStatus(digest=name, offset=len(have), complete=len(have) == size > 0)),
                    {},
                )
            case ["blobs"]:
                assert self.headers["Content-Digest"] == content_digest(body)
                with master.changed:  # two results of the same bytes are brought at once
                    have = master.blobs.setdefault(name, bytearray())
                    if int(query["offset"]) == len(have):  # at any other place it changes nothing
                        have += body
                    received = len(have)
                complete = received == int(query["size"])
                return 200, msgspec.json.encode(BlobStatus(digest=name, offset=received, complete=complete)), {}
        raise NotFound

    def _ranged(self, data: bytes) -> tuple[int, bytes, dict[str, str]]:
        first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
        part = data[first : min(last + 1, first + PART_LIMIT)]
        where = f"bytes {first}-{max(first, first + len(part) - 1)}/{len(data)}"
        headers = {"Content-Digest": content_digest(part)} | ({"Content-Range": where} if data else {})
        return (206 if data else 200), part, headers


def running(**options: Any) -> Iterator[FakeMaster]:
    """A started master, stopped at the end."""
    master = FakeMaster(**options).start()
    try:
        yield master
    finally:
        master.stop()
