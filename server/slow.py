"""gunicorn's thread worker, safe against slow callers: a connection takes a thread only for a request that is there.

Handshakes and heads, and bodies of at most arrival.WHOLE bytes, are collected by the event loop, in time or not at all.
A larger body is read by its thread, at a least rate. What is left to read when a connection ends is drained by the loop
too: gunicorn's own way stops the loop, and with it all others, for up to 2 s a connection.
"""

import contextlib
import ssl
import time
from collections import deque
from concurrent.futures import Future
from functools import partial
from selectors import EVENT_READ, EVENT_WRITE
from socket import SHUT_WR, socket
from typing import Any

from gunicorn import http, sock
from gunicorn.workers.gthread import TConn, ThreadWorker

from server.arrival import ARRIVAL_S, Arrival, HeadTooLarge, seconds_left

_PIECE = 64 * 1024
_LINGER_S = 2.0
_MOST_DRAINED = 16 * 1024 * 1024
"""More than a part of an upload: who is refused in the middle of one reads why."""


class PacedSocket:
    """What a thread reads a request from: each body has a least rate. Raises TimeoutError where it is not kept."""

    def __init__(self, connection: socket) -> None:
        self._socket = connection
        self.begin()

    def begin(self) -> None:
        """Another request begins."""
        self._began, self._received, self.answered = time.monotonic(), 0, False

    def recv(self, size: int) -> bytes:
        if self.answered:
            raise TimeoutError("what is left of a body is not awaited")
        left = seconds_left(time.monotonic() - self._began, self._received)
        if left <= 0:
            raise TimeoutError("the body comes too slowly")
        allowed = self._socket.gettimeout()
        self._socket.settimeout(left if allowed is None else min(left, allowed))
        try:
            data = self._socket.recv(size)
        finally:
            self._socket.settimeout(allowed)
        self._received += len(data)
        return data

    def gettimeout(self) -> float | None:
        return self._socket.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        self._socket.settimeout(seconds)


class Caller(TConn):  # type: ignore[misc]
    """A connection, from being accepted to its end."""

    sock: Any
    parser: Any
    arrival: Arrival
    shaken = False
    """Whether the TLS handshake is over, where there is one."""
    drained = 0

    def secure(self) -> None:
        """Put TLS around it where we speak that. The certificate is read anew, so that a renewed one is used."""
        if self.cfg.is_ssl:
            self.sock = sock.ssl_wrap_socket(self.sock, self.cfg)

    def read_more(self) -> None:
        """Read what is there; returns once that is a request. Raises ssl.SSLWantReadError, ssl.SSLWantWriteError or
        BlockingIOError where more must come first, other OSErrors and HeadTooLarge where nothing will."""
        if self.cfg.is_ssl and not self.shaken:
            self.sock.do_handshake()
            self.shaken = True
        while not self.arrival.add(b""):
            data = self.sock.recv(_PIECE)
            if not data and not self.arrival.data:
                raise ConnectionError("closed by its other end")
            if not data:
                return  # cut off: a thread says so, and need not wait to find out
            self.arrival.add(data)

    def read_ahead(self) -> bytes:
        """What has been read of the next request already, where the loop would not see it on the socket."""
        held: bytes = self.parser.unreader.take_buffered()
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            held += self.sock.recv(self.sock.pending())
        return held

    def hand_over(self) -> None:
        """Give what was read to the parser, as if it were to be read now."""
        if self.parser is None:
            self.parser = http.get_parser(self.cfg, self.sock, self.client)
            self.parser.unreader.sock = PacedSocket(self.sock)
            self.initialized = self.data_ready = True
        self.parser.unreader.sock.begin()
        self.parser.unreader.unread(bytes(self.arrival.data))


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads are for requests that are there. `pending_conns` are those that are still to come, oldest first."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lingering: deque[Caller] = deque()

    def accept(self, listener: socket) -> None:
        """Take a connection. Where there are too many, the one that has waited longest for its request gives way."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        self.nr_conns += 1
        conn = Caller(self.cfg, accepted, address, listener.getsockname())
        try:
            conn.secure()
        except OSError as error:  # its other end is gone, or our certificate cannot be read
            self.log.warning("no TLS with %s: %s", address, error)
            self._drop(conn)
            return
        self._await_request(conn)
        for waiting in (self._lingering, self.pending_conns, self.keepalived_conns):
            if self.nr_conns < self.worker_connections:
                break
            if waiting:
                self._drop(waiting.popleft())

    def on_client_socket_readable(self, conn: Caller, client: socket) -> None:
        """A connection that was kept open says something again."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._await_request(conn)

    def _keepalive_after(self, conn: Caller, keepalive: bool) -> bool:
        """A connection with a body that nobody has read to its end is of no more use: it is not awaited here."""
        conn.parser.unreader.sock.answered = True
        return keepalive and bool(conn.parser.finish_body())

    def finish_request(self, conn: Caller, fs: "Future[Any]") -> None:
        """A thread is done with a request: its connection waits for another one, or ends."""
        kept = not fs.cancelled() and fs.exception() is None and fs.result()
        begun = conn.read_ahead() if kept else b""
        if not kept:
            self._linger(conn)
        elif begun:
            self._await_request(conn, begun)
        else:
            conn.sock.setblocking(False)
            conn.timeout = self._until(self.cfg.keepalive)
            self.keepalived_conns.append(conn)
            self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def murder_pending(self) -> None:
        """End what did not come in time."""
        now = time.monotonic()
        for waiting in (self.pending_conns, self._lingering):
            while waiting and waiting[0].timeout <= now:
                self._drop(waiting.popleft())

    def _cap_keepalive(self, deadline: float) -> None:
        """While stopping: nothing that has not come by then is waited for."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def _await_request(self, conn: Caller, begun: bytes = b"") -> None:
        conn.arrival = Arrival()
        conn.timeout = self._until(ARRIVAL_S)
        conn.sock.setblocking(False)
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self._more, conn))
        with contextlib.suppress(HeadTooLarge):  # said again by the look that follows
            conn.arrival.add(begun)
        self._more(conn, conn.sock)

    def _more(self, conn: Caller, _: socket) -> None:
        """Something can be read, or written where a handshake waits for that."""
        try:
            conn.read_more()
        except (ssl.SSLWantReadError, BlockingIOError):
            self._listen(conn, EVENT_READ)
        except ssl.SSLWantWriteError:
            self._listen(conn, EVENT_WRITE)
        except (OSError, HeadTooLarge):
            self.pending_conns.remove(conn)
            self._drop(conn)
        else:
            self.poller.unregister(conn.sock)
            self.pending_conns.remove(conn)
            conn.hand_over()
            self.enqueue_req(conn)

    def _listen(self, conn: Caller, event: int) -> None:
        if self.poller.get_key(conn.sock).events != event:
            self.poller.modify(conn.sock, event, partial(self._more, conn))

    def _until(self, seconds: float) -> float:
        """So long from now; while stopping, no longer than the last answers take to be read."""
        return time.monotonic() + (seconds if self.alive else min(seconds, _LINGER_S))

    def _linger(self, conn: Caller) -> None:
        """Say that nothing more comes, then read what the other end still sends: closed at once, it would be told to
        throw away the answer as well."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(SHUT_WR)
        except OSError:
            self._drop(conn)
            return
        conn.timeout = time.monotonic() + _LINGER_S
        self._lingering.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self._drain, conn))
        self._drain(conn, conn.sock)

    def _drain(self, conn: Caller, _: socket) -> None:
        try:
            while conn.drained < _MOST_DRAINED and (data := conn.sock.recv(_PIECE)):
                conn.drained += len(data)
        except (ssl.SSLWantReadError, BlockingIOError):
            return
        except OSError:
            pass
        self._lingering.remove(conn)
        self._drop(conn)

    def _drop(self, conn: Caller) -> None:
        with contextlib.suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)
        self.nr_conns -= 1
        conn.close()
