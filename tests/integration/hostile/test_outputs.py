"""Files that a program leaves as its result: nothing but regular files of its own leaves the container."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from dockercomp.protocol.orders import ProgramSpec, VerifySpec
from server import comparators
from tests.integration.docker_parts import MIB, files, order_of, payload, reason, task
from tests.integration.hostile.lair import RUN_IT, Lair, bounded
from worker import capture
from worker.container import WarmContainer
from worker.tasks import Outcome, Size

WIDE = Size(cpus=1.0, memory=512 * MIB, scratch=512 * MIB)


@pytest.fixture(scope="module")
def gatherer(lair: Lair) -> WarmContainer:
    """Its result is every file below {output_dir}, which scripts enter first."""
    words = f"import os, sys; os.chdir(sys.argv[1]); {RUN_IT}"
    return lair.container(order_of(ProgramSpec(command=["python3", "-c", words, "{output_dir}"])), WIDE)


def gathered(container: WarmContainer, script: str) -> Outcome:
    return container.run(task(script.encode()))


def why(outcome: Outcome) -> str:
    assert outcome.failure is not None and outcome.failure.reason in ("output", "exit"), outcome
    return outcome.failure.message + outcome.failure.log_head


def test_only_regular_files_come_back(gatherer: WarmContainer) -> None:
    script = """
import os, socket
os.mkdir("d"), open("d/own", "w").write("mine"), open("-rf", "w"), open("a\\nb", "w"), open("..x", "w")
for n, target in enumerate(("/etc/passwd", "/dc/job", "/", "../..", "d/own", "/proc/1/environ", "loop5")):
    os.symlink(target, f"loop{n}" if n == 6 else f"link{n}")
os.symlink("/etc", "d/etc"), os.symlink(".", "d/again"), os.mkfifo("pipe"), os.mknod("d/pipe", 0o010644)
s = socket.socket(socket.AF_UNIX); s.bind("socket")
try:
    os.mknod("zero", 0o020666, os.makedev(1, 5))
except PermissionError:
    pass
for place in ("/etc/passwd", "/dc/runner"):
    try:
        os.link(place, "hard")
    except OSError:
        pass
"""
    assert files(gathered(gatherer, script)) == {"-rf": b"", "..x": b"", "a\nb": b"", "d/own": b"mine"}


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("open(b'\\xff', 'w')", "is not UTF-8"),
        ("for n in range(300): os.mkdir('d'), os.chdir('d')\nopen('f', 'w')", "nested too deep"),
        ("for n in range(30): os.mkdir('d' * 200), os.chdir('d' * 200)\nopen('f', 'w')", "a path is too long"),
        ("os.mkdir('d'), open('d/f', 'w'), os.chmod('d', 0)", "Permission denied"),
        ("open('f', 'w').write('x'), os.chmod('f', 0)", "Permission denied"),
        ("os.rmdir(os.getcwd()), os.symlink('/etc', '/tmp/out')", "files"),
        ("os.rmdir(os.getcwd()), os.mkfifo('/tmp/out')", "files"),
    ],
)
def test_files_that_cannot_be_a_result_are_told_apart(gatherer: WarmContainer, script: str, sentence: str) -> None:
    assert sentence in why(gathered(gatherer, script))
    assert files(gathered(gatherer, "open('fine', 'w')")) == {"fine": b""}


MANY = {
    "files": "for n in range(101_000): os.close(os.open(f'{n}', os.O_CREAT))",
    "long names": """
names = [f"{n:0250}" for n in range(20_000)]
for name in names: os.close(os.open(name, os.O_CREAT))
for folder in (f"{n:0240}" for n in range(5)):
    os.mkdir(folder)
    for name in names[:8000]: os.link(name, f"{folder}/{name}")
""",
}


@pytest.mark.parametrize(
    ("what", "sentence"), [("files", "more than 100000 files"), ("long names", "names of the program's files")]
)
def test_a_million_files_are_refused_with_little_memory(
    gatherer: WarmContainer, home: Path, what: str, sentence: str
) -> None:
    with bounded(home, 64 * MIB):
        assert sentence in why(gathered(gatherer, MANY[what]))
    assert files(gathered(gatherer, "open('fine', 'w')")) == {"fine": b""}


def test_a_file_that_grows_while_it_is_collected_is_no_result(lair: Lair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function's process lives on: it may go on writing to what it left."""
    monkeypatch.setattr(capture, "OUTPUT_LIMIT", 32 * MIB)
    (lair.folder / "grows.py").write_text(
        "import os, threading\n"
        "def grow():\n"
        "    for n in range(1 << 10):\n"
        "        os.truncate('/tmp/work/a', n << 30)\n"
        "growing = []\n"
        "def go(data):\n"
        "    for thread in growing: thread.join()\n"
        "    open('a', 'w').write('x')\n"
        "    if data:\n"
        "        growing.append(threading.Thread(target=grow, daemon=True))\n"
        "        growing[0].start()\n"
        "        while os.stat('/tmp/work/a').st_size < 1 << 30: pass\n"
        "    return b''\n"
    )
    container = lair.container(order_of(ProgramSpec(function="grows:go", outputs=["a"])))
    assert why(container.run(task(b"x"))).startswith(("the result is larger than", "a changed while it was collected"))
    assert files(container.run(task())) == {"a": b"x"}


@pytest.mark.parametrize("made", ["os.symlink('/etc/passwd', where)", "os.mkfifo(where)", "os.mkdir(where)", "pass"])
def test_an_output_file_that_is_none_of_its_own_is_no_result(lair: Lair, made: str) -> None:
    words = f"import os, sys; where = sys.argv[1]; {made}"
    container = lair.container(order_of(ProgramSpec(command=["python3", "-c", words, "{output}"])))
    outcome = container.run(task())
    assert reason(outcome) == "exit" and "{output}" in why(outcome)
    assert container.state == "idle"


def _png(width: int, height: int) -> str:
    """A script that writes a picture of so many black pixels as its result: 100 KB stand for 100 MB."""
    return f"""
import struct, sys, zlib
def part(kind, data): return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
squeeze = zlib.compressobj(9)
rows = b"".join(squeeze.compress(bytes({width} + 1)) for _ in range({height})) + squeeze.flush()
head = struct.pack(">IIBBBBB", {width}, {height}, 8, 0, 0, 0, 0)
sys.stdout.buffer.write(b"\\x89PNG\\r\\n\\x1a\\n" + part(b"IHDR", head) + part(b"IDAT", rows) + part(b"IEND", b""))
"""


BOMBS: dict[str, tuple[str, Any, str]] = {
    "a picture": (_png(10_000, 10_000), "image", "pixels"),
    "deep JSON": ("print('[' * 60_000)", "json", "JSON"),
    "wide JSON": ("print('[' + '{},' * 9_000_000 + '{}]')", "json", "too large"),
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_result_that_unpacks_to_much_more_is_not_unpacked(warm: WarmContainer, what: str) -> None:
    """Comparing is all that the master unpacks results for; worker and client take bytes as they are."""
    script, compare, sentence = BOMBS[what]
    outcome = warm.run(task(script.encode()))
    bomb = payload(outcome)
    if isinstance(outcome.payload, Path):
        outcome.payload.unlink()
    found = comparators.difference(VerifySpec(compare=compare), bomb, bomb[:-1] + b" ")
    assert sentence in found


def test_a_packed_result_stays_packed(warm: WarmContainer) -> None:
    script = "import sys, zlib; sys.stdout.buffer.write(zlib.compress(bytes(50 << 20), 9))"
    bomb = payload(warm.run(task(script.encode())))
    assert len(bomb) < MIB and len(zlib.decompress(bomb)) == 50 * MIB
