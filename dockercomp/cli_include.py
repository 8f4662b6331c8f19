"""`dockercomp include`: what programs in containers may use of ours, copied into a job folder."""

import os
from importlib.resources import files
from pathlib import Path

import click

from .options import json_option, pass_session
from .protocol.errors import InvalidJob
from .terminal import Session

_C = ("dockercomp.h",)
_PYTHON = ("dockercomp_chunk.py", "dockercomp_pool.py")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--c", "c", is_flag=True, help="Only dockercomp.h, for C and C++.")
@click.option("--python", is_flag=True, help="Only the Python modules.")
@click.option("--force", is_flag=True, help="Also over files that were changed, or are of another version.")
@json_option
@pass_session
def include(session: Session, folder: Path, c: bool, python: bool, force: bool) -> None:
    """Put into FOLDER what your program may use: its allocation, pools that follow it, progress, checkpoints.

    With them it builds and runs anywhere, with or without a worker. In containers the worker has the same files in
    /dc/lib, where Python finds them by itself unless the folder has its own.
    """
    names = [*(_C if c or not python else ()), *(_PYTHON if python or not c else ())]
    source = files("worker.inside")  # one wheel holds all packages; these are read, not imported
    contents = {name: source.joinpath(name).read_bytes() for name in names}
    changed = [name for name in names if not force and _differs(folder / name, contents[name])]
    if changed:
        raise InvalidJob(f"{folder} has another {' and '.join(changed)}: see what was changed there, or add --force")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            _replace(folder / name, data)
    except OSError as error:
        raise InvalidJob(f"{error.filename} cannot be written: {error.strerror}") from error
    session.answer(
        {"folder": str(folder), "files": names}, lambda: print(f"{folder} has {', '.join(names)}; see docs/programs.md")
    )


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() != data
    except FileNotFoundError:
        return False
    except OSError as error:
        raise InvalidJob(f"{path} cannot be read: {error.strerror}; is it a file of yours?") from error


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_bytes(data)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


COMMANDS = (include,)
