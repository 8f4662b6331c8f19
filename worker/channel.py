"""The worker's end of the socket to a runner: frames out and in. What the frames mean stands in runner/runner.c."""

import contextlib
import os
import socket
import stat
import struct
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dockercomp.machine import manifest
from dockercomp.machine.home import instance_label

_HEAD = struct.Struct("<cI")
_SIZE = struct.Struct("<I")
_VERSION = b"2"
_MOST_FIELDS, _LARGEST_RUN = 32_768, 4 * 1024 * 1024
"""What the runner takes in one run."""
_LARGEST_FRAME = 64 * 1024
"""The most that the runner sends in one, which is all that a frame may cost in memory."""
_PATH_LIMIT = 100


class ChannelError(RuntimeError):
    """The runner cannot be reached, has gone, or speaks another version."""


@dataclass(frozen=True)
class Run:
    """One run, in the runner's fields, which runner.c explains. `stdin` is bytes (sent along), a path in the container,
    or None."""

    mode: str
    limit_ms: int
    cwd: str
    argv: Sequence[str]
    env: Sequence[str]
    stdin: bytes | str | None = None
    work: str = ""
    stdout: str = "result"
    output: str = ""
    files: str = ""
    keep: str = ""

    def encode(self) -> bytes:
        """The payload of an R frame. Raises OSError where it is more than a runner, or a command line, can take."""
        kind = "none" if self.stdin is None else "inline" if isinstance(self.stdin, bytes) else "file"
        stdin = self.stdin.encode() if isinstance(self.stdin, str) else self.stdin or b""
        fields = [_field(word) for word in (self.mode, str(self.limit_ms), self.cwd, self.work, kind)]
        fields += [_SIZE.pack(len(stdin)), stdin]
        fields += [_field(word) for word in (self.stdout, self.output, self.files, self.keep)]
        for group in (self.argv, self.env):
            fields.append(_field(str(len(group))))
            fields += [_field(word) if len(word) < _SHORT else _packed(word) for word in group]
        payload = b"".join(fields)
        if len(fields) > _MOST_FIELDS or len(payload) > _LARGEST_RUN:
            raise OSError(f"{len(self.argv)} arguments are more than a command line can take")
        return payload


def _packed(word: str) -> bytes:
    data = word.encode(errors="surrogateescape")
    return _SIZE.pack(len(data)) + data


_field = lru_cache(maxsize=512)(_packed)
"""Most words are the same in every run of a job."""
_SHORT = 200


@dataclass(frozen=True)
class End:
    """The runner's last word on a run. `code` is -1 where a signal ended it."""

    code: int
    signal: int
    timed_out: bool
    cancelled: bool
    cpu_s: float
    wall_s: float
    memory_peak: int


class Listener:
    """A unix socket that one container will connect to; its folder is mounted read-only there."""

    def __init__(self, folder: Path) -> None:
        """Raises ChannelError where the path is too long for a unix socket."""
        self.path = folder / "s"
        if len(os.fsencode(self.path)) >= _PATH_LIMIT:
            raise ChannelError(f"{self.path} is too long for a unix socket (100 bytes): use a shorter DC_HOME")
        folder.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)  # nobody else on this machine can connect
        folder.chmod(0o755)
        self.path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self.path.chmod(0o666)  # the container's user is another one
        self._socket.listen(1)

    def accept(self, timeout_s: float) -> "Channel | None":
        """The runner that connected; None where none has within `timeout_s`. Raises ChannelError."""
        self._socket.settimeout(timeout_s)
        try:
            connection, _ = self._socket.accept()
        except TimeoutError:
            return None
        channel = Channel(connection)
        kind, version = channel.receive(10.0)
        if (kind, version) != (b"H", _VERSION):
            channel.close()
            raise ChannelError("the runner in the container speaks another version")
        return channel

    def close(self) -> None:
        self._socket.close()
        self.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # a container that could not be removed still holds it
            self.path.parent.rmdir()


class Channel:
    """A connected runner. `kill` may be called from another thread; all else from one."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._sending = threading.Lock()

    def run(self, payload: bytes) -> None:
        """Start an encoded run. Raises ChannelError where the runner has gone."""
        self._send(_HEAD.pack(b"R", len(payload)) + payload)

    def kill(self) -> None:
        """Kill what runs now; harmless where nothing does or the runner has gone."""
        with contextlib.suppress(ChannelError):
            self._send(_HEAD.pack(b"K", 0))

    def ask(self, paths: bytes) -> None:
        """Ask for files that were offered: paths, each with a zero byte behind it; b"": no more are wanted."""
        self._send(_HEAD.pack(b"G", len(paths)) + paths)

    def receive(self, timeout_s: float) -> tuple[bytes, bytes]:
        """The next frame's type and payload. Raises TimeoutError; ChannelError where the runner has gone."""
        self._connection.settimeout(timeout_s)
        self._fill(_HEAD.size)
        kind, size = _HEAD.unpack_from(self._buffer)
        if size > _LARGEST_FRAME:
            raise ChannelError("the runner sent a frame that is too large")
        self._fill(_HEAD.size + size)
        payload = self._buffer[_HEAD.size : _HEAD.size + size]
        self._buffer = self._buffer[_HEAD.size + size :]
        return kind, payload

    def close(self) -> None:
        self._connection.close()

    def _send(self, data: bytes) -> None:
        try:
            with self._sending:  # a kill never ends up inside a run
                self._connection.sendall(data)
        except OSError as error:
            raise ChannelError(f"the runner has gone: {error}") from error

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            try:
                part = self._connection.recv(262_144)
            except TimeoutError:
                raise
            except OSError as error:
                raise ChannelError(f"the runner has gone: {error}") from error
            if not part:
                raise ChannelError("the runner has gone")
            self._buffer += part


def socket_folder(home: Path, slot: int) -> Path:
    """Where a slot's socket goes: under DC_HOME/run, or, where that is too long for a unix socket, in a folder of this
    instance beside other programs' sockets, which its manifest then names. Raises ChannelError where it is not ours."""
    folder = home / "run" / "sockets" / str(slot)
    if len(os.fsencode(folder / "s")) < _PATH_LIMIT:
        return folder
    place = _short_place() / f"dockercomp-{instance_label(home)}"
    manifest.record(home, "tree", str(place))
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ChannelError(f"{place} belongs to someone else: use a shorter DC_HOME, or remove it")
    return place / str(slot)


def _short_place() -> Path:
    for place in (Path("/run"), Path(os.environ.get("XDG_RUNTIME_DIR") or "/run")):
        if os.access(place, os.W_OK):
            return place
    return Path(tempfile.gettempdir())


def decode_end(payload: bytes) -> End:
    """Raises ChannelError where it is not an end."""
    try:
        code, signal, timed_out, cancelled, cpu_us, wall_us, rss_kb = (int(word) for word in payload.split())
    except ValueError:
        raise ChannelError(f"the runner sent an end that cannot be read: {payload[:80]!r}") from None
    return End(code, signal, bool(timed_out), bool(cancelled), cpu_us / 1e6, wall_us / 1e6, rss_kb * 1024)
