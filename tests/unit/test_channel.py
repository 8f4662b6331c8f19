"""The worker's end of the socket to a runner; the runner is the far side of a real socket."""

import contextlib
import socket
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockercomp.machine import manifest
from worker.channel import Channel, ChannelError, Listener, Run, socket_folder

RUN = Run("command", 1000, "/tmp/work", ("tr", "a-z", "A-Z"), ("HOME=/tmp",), b"input", work="/tmp/work")


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    with contextlib.closing(channel), theirs:
        yield channel, theirs


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    return struct.pack("<cI", kind, len(payload)) + payload


def read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        assert part, "the other end closed"
        data += part
    return data


def read_frame(connection: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("<cI", read(connection, 5))
    return kind, read(connection, size)


def fields(payload: bytes) -> list[bytes]:
    found = []
    while payload:
        (size,) = struct.unpack_from("<I", payload)
        found.append(payload[4 : 4 + size])
        payload = payload[4 + size :]
    return found


def test_a_run_is_its_fields_in_order(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    channel.run(RUN.encode())
    kind, payload = read_frame(runner)
    expected = "command,1000,/tmp/work,/tmp/work,inline,input,result,,,,3,tr,a-z,A-Z,1,HOME=/tmp"
    assert (kind, fields(payload)) == (b"R", expected.encode().split(b","))


@pytest.mark.parametrize(("stdin", "kind", "field"), [(None, b"none", b""), ("/dc/in/ü", b"file", "/dc/in/ü".encode())])
def test_input_is_named_or_absent(stdin: str | None, kind: bytes, field: bytes) -> None:
    found = fields(Run("command", 1, "/", ("x",), (), stdin).encode())
    assert found[4:6] == [kind, field]


def test_a_command_line_that_is_too_long_is_refused_here() -> None:
    for argv in (["x"] * 40_000, ["x" * 5_000_000]):
        with pytest.raises(OSError, match="arguments are more than"):
            Run("command", 1, "/", argv, ()).encode()


def test_frames_come_whole_however_they_are_cut(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    stream = frame(b"O", b"abc") + frame(b"L") + frame(b"X", b"0 0 0 0 1 2 3")
    sender = threading.Thread(target=lambda: [runner.sendall(bytes([byte])) for byte in stream])
    sender.start()
    assert [channel.receive(10.0) for _ in range(3)] == [(b"O", b"abc"), (b"L", b""), (b"X", b"0 0 0 0 1 2 3")]
    sender.join()


def test_a_wait_that_was_too_long_loses_nothing(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    whole = frame(b"O", b"abcdef")
    runner.sendall(whole[:8])
    with pytest.raises(TimeoutError):
        channel.receive(0.01)
    runner.sendall(whole[8:])
    assert channel.receive(10.0) == (b"O", b"abcdef")


def test_a_runner_that_has_gone_is_told_both_ways(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    runner.sendall(frame(b"O", b"abc")[:6])
    runner.close()
    with pytest.raises(ChannelError, match="gone"):
        channel.receive(10.0)
    with pytest.raises(ChannelError, match="gone"):
        for _ in range(2):
            channel.run(RUN.encode())
    channel.kill()


def test_an_oversized_frame_is_refused_unread(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    runner.sendall(struct.pack("<cI", b"O", 2**31))
    with pytest.raises(ChannelError, match="too large"):
        channel.receive(10.0)


def test_a_kill_never_lands_inside_a_run(ends: tuple[Channel, socket.socket]) -> None:
    channel, runner = ends
    large = Run("command", 1, "/", ("x",), (), b"x" * 4_000_000)
    feeder = threading.Thread(target=channel.run, args=(large.encode(),))
    killer = threading.Thread(target=channel.kill)
    feeder.start()
    head = read(runner, 5)
    killer.start()
    assert head[:1] == b"R" and fields(read(runner, struct.unpack("<I", head[1:])[0]))[5] == b"x" * 4_000_000
    assert read_frame(runner) == (b"K", b"")
    feeder.join()
    killer.join()


def test_only_the_owner_can_reach_the_socket_and_only_our_version_is_taken(tmp_path: Path) -> None:
    listener = Listener(tmp_path / "sockets" / "0")
    with contextlib.closing(listener), socket.socket(socket.AF_UNIX) as runner:
        assert stat.S_IMODE((tmp_path / "sockets").stat().st_mode) == 0o700
        assert stat.S_IMODE(listener.path.stat().st_mode) == 0o666
        assert listener.accept(0.01) is None
        runner.connect(str(listener.path))
        runner.sendall(frame(b"H", b"0"))
        with pytest.raises(ChannelError, match="another version"):
            listener.accept(10.0)
    assert not (tmp_path / "sockets" / "0").exists()


def test_a_long_home_gets_a_short_folder_that_its_manifest_names(tmp_path: Path) -> None:
    assert socket_folder(tmp_path, 3) == tmp_path / "run" / "sockets" / "3"
    home = tmp_path / ("x" * 100)
    home.mkdir()
    folder = socket_folder(home, 3)
    try:
        assert len(str(folder / "s")) < 100 and folder.name == "3"
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert [(entry.kind, entry.name) for entry in manifest.entries(home)] == [("tree", str(folder.parent))]
    finally:
        folder.parent.rmdir()
