"""Input put where a container reads it: files in the folder that is mounted read-only at /dc/in."""

import io
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from dockercomp.protocol.messages import Piece

INPUT_FOLDER = "/dc/in"
SAVED = ".dc-checkpoint"
"""The name there of a checkpoint to go on from, which the runner knows."""


def place(data: bytes | Path, folder: Path, name: str) -> str:
    """Make `data` the file `name`, by a link where it is a file already; its path in the container."""
    target = folder / name
    target.unlink(missing_ok=True)
    if isinstance(data, bytes):
        target.write_bytes(data)
    else:
        try:
            os.link(data, target)
        except OSError:  # another file system
            shutil.copyfile(data, target)
    target.chmod(0o644)
    return f"{INPUT_FOLDER}/{name}"


def place_pieces(data: bytes | Path, pieces: Sequence[Piece], folder: Path) -> list[str]:
    """Each piece under its own name; their paths in the container. Raises OSError for a name that leads out."""
    paths = []
    with _open(data) as source:
        for piece in pieces:
            target = folder / piece.name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise OSError(f"a piece of the input has an impossible name: {piece.name}")
            _folders(target.parent, folder)
            with target.open("wb") as file:
                _copy(source, file, piece.size)
            target.chmod(0o644)
            paths.append(f"{INPUT_FOLDER}/{piece.name}")
    return paths


def clear(folder: Path) -> None:
    """Empty the input folder, which itself is mounted and stays."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _open(data: bytes | Path) -> IO[bytes]:
    return io.BytesIO(data) if isinstance(data, bytes) else data.open("rb")


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size:
        block = source.read(min(size, 1 << 20))
        if not block:
            raise OSError("the input is shorter than its pieces")
        target.write(block)
        size -= len(block)


def _folders(path: Path, root: Path) -> None:
    """Make the folders of a piece's name, readable by the container's user."""
    if path != root:
        _folders(path.parent, root)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
