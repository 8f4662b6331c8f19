"""Unpacking a job folder: what it should hold arrives, and nothing leaves it."""

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from worker.programs import BadProgram, Programs, unpack


def tar(*members: tuple[str, bytes | str | None], mode: int = 0o644, kind: bytes | None = None) -> bytes:
    """A tar of files (bytes), links (str) and folders (None)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mode = mode
            if isinstance(content, bytes):
                info.size = len(content)
                if kind:
                    info.type = kind
                archive.addfile(info, io.BytesIO(content))
            else:
                info.type = tarfile.DIRTYPE if content is None else kind or tarfile.SYMTYPE
                info.linkname = content or ""
                archive.addfile(info)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_files_folders_links_and_run_bits_arrive(tmp_path: Path) -> None:
    data = tar(("sub", None), ("sub/map.py", b"print()"), ("run", "sub/map.py"), mode=0o4755)
    folder = Programs(tmp_path).ensure(digest(data), [data[:100], data[100:]])
    assert (folder / "run").read_bytes() == b"print()"
    assert (folder / "sub/map.py").stat().st_mode & 0o7777 == 0o755
    assert folder.stat().st_mode & 0o777 == 0o755


def test_it_is_fetched_once(tmp_path: Path) -> None:
    data = tar(("a", b"1"))
    programs = Programs(tmp_path)
    folder = programs.ensure(digest(data), [data])
    assert programs.ensure(digest(data), iter(())) == folder
    programs.remove(digest(data))
    assert not folder.exists()


def test_other_bytes_than_promised_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadProgram, match="arrived with digest"):
        Programs(tmp_path).ensure("0" * 64, [tar(("a", b"1"))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        tar(("../evil", b"x")),
        tar(("/evil", b"x")),
        tar(("a/../../evil", b"x")),
        tar(("link", "/etc/passwd")),
        tar(("link", "../outside")),
        tar(("c", "."), ("b", "c/..")),
        tar(("pipe", b""), kind=tarfile.FIFOTYPE),
        tar(("device", b""), kind=tarfile.CHRTYPE),
        tar(("hard", "/etc/passwd"), kind=tarfile.LNKTYPE),
        b"this is not a tar at all",
    ],
)
def test_nothing_leads_out(data: bytes, tmp_path: Path) -> None:
    root = tmp_path / "root"
    with pytest.raises(BadProgram):
        Programs(root).ensure(digest(data), [data])
    assert list(root.iterdir()) == [] and list(tmp_path.iterdir()) == [root]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    with pytest.raises((BadProgram, OSError)):
        unpack(io.BytesIO(tar(("door", str(outside)), ("door/file", b"x"))), root)
    assert list(outside.iterdir()) == []
