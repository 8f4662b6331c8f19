"""jobs/wordcount: a streaming pair whose sums do not depend on how the text is cut or combined."""

import gzip
import io
import lzma
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "wordcount"
TEXT = "It's the end — the END of Straße, don’t cry.\n\nÜber 42 naïve Äpfel in 東京; the_end\n" * 3  # noqa: RUF001


def run(program: str, data: bytes) -> bytes:
    return subprocess.run([sys.executable, str(JOB / program)], input=data, capture_output=True, check=True).stdout


def in_order(lines: bytes) -> bytes:
    return b"".join(sorted(lines.splitlines(keepends=True)))


def counted(chunks: list[str], *, combine: bool) -> bytes:
    mapped = [run("mapper.py", chunk.encode()) for chunk in chunks]
    if combine:
        mapped = [run("reducer.py", in_order(each)) for each in mapped]
    return run("reducer.py", in_order(b"".join(mapped)))


def test_neither_the_cut_nor_the_combiner_changes_the_counts() -> None:
    lines = TEXT.splitlines(keepends=True)
    whole = counted([TEXT], combine=False)
    assert counted(lines, combine=False) == counted(lines, combine=True) == whole
    found = Counter({word: int(n) for word, n in (line.split("\t") for line in whole.decode().splitlines())})
    assert found["the"] == 9
    assert found["it's"] == found["don’t"] == found["straße"] == found["東京"] == found["über"] == 3  # noqa: RUF001
    assert "42" not in found


def test_no_text_gives_no_counts() -> None:
    assert counted([""], combine=True) == b""


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(JOB))
    monkeypatch.delitem(sys.modules, "fetch", raising=False)
    import fetch  # type: ignore[import-not-found]

    yield fetch
    del sys.modules["fetch"]


def deb(**files: bytes) -> bytes:
    """A package as Debian's are made: an ar archive of debian-binary and data.tar.xz."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    members = [(b"debian-binary", b"2.0"), (b"data.tar.xz", lzma.compress(data.getvalue()))]
    packed = [
        b"%-16s%-32s%-10d`\n%s" % (name, b"0", len(body), body + b"\n" * (len(body) % 2)) for name, body in members
    ]
    return b"!<arch>\n" + b"".join(packed)


def test_files_come_out_of_a_package_in_the_order_of_their_names(fetch) -> None:  # type: ignore[no-untyped-def]
    package = deb(b=b"two\n", a=b"one\n", other=b"not wanted")
    assert fetch.files(package, lambda name: name in "ab") == b"one\ntwo\n"
    assert gzip.decompress(fetch.files(deb(x=gzip.compress(b"text")), lambda name: True)) == b"text"


def test_an_unreachable_mirror_and_another_package_are_said_in_a_line(tmp_path: Path) -> None:
    empty = tmp_path / "pool/main/f/fortune-mod/fortunes_1.99.1-7.3_all.deb"
    command = [sys.executable, str(JOB / "fetch.py"), str(tmp_path / "cache")]
    for mirror, reason in (
        (f"file://{tmp_path}/none", "names another mirror"),
        (f"file://{tmp_path}", "SHA-256 differs"),
    ):
        empty.parent.mkdir(parents=True, exist_ok=True)
        empty.touch()
        done = subprocess.run(command, capture_output=True, text=True, env={"DC_DEBIAN_MIRROR": mirror}, check=False)
        assert done.returncode == 1
        assert reason in done.stderr
        assert "Traceback" not in done.stderr
