"""Calls of Python functions gathered into one job: its folder and its input.

The job's input is one upload: the calls one after the other, as inside.calls reads them; a chunk is one span of it.
"""

import hashlib
import json
import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import cloudpickle
import msgspec

from . import inside
from .calloptions import CallOptions, spec_of
from .inside.calls import CALL
from .job import Job
from .master import Master
from .modules import module_files
from .pickling import Pickled, pickled, pickled_function
from .protocol.views import InputFile, SubmitRequest
from .submission import check_image, hand_in, send_program

PACKAGE = "dockercomp_inside"
"""What dockercomp.inside is called in a job folder."""
LISTED = 2000
"""From so many chunks on their list is an upload of its own."""
_STUB = '''"""Stands in for dockercomp inside containers, so that modules which import it can be imported there."""


class _Absent:
    def __init__(self, *args, **kwargs):
        raise RuntimeError("inside a container there is no master to submit to")


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Absent
'''


class Calls:
    """Calls to be submitted together; to be closed, which `submit` does too. Not for several threads at once."""

    def __init__(self, options: CallOptions, initializer: Callable[..., object] | None = None, initargs: Any = ()):
        self.ends = array("Q")
        """Where each call ends in the input."""
        self.name = ""
        """Of the first function."""
        self._options = options
        self._functions: dict[int, tuple[Any, int]] = {}
        self._pickles: list[list[Pickled]] = []
        self._initializer = None if initializer is None else pickled((initializer, initargs))
        self._modules = set(self._initializer.modules if self._initializer else ())
        self._input = tempfile.SpooledTemporaryFile(max_size=2**20)  # noqa: SIM115  (closed with this)
        self._digest = hashlib.sha256()

    def __len__(self) -> int:
        return len(self.ends)

    def add(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """One more call, pickled now. Raises NotTravelling; nothing was added then."""
        call = pickled((tuple(args), dict(kwargs)))
        number = self._number(function)
        self._modules |= call.modules
        self._write(CALL.pack(call.bound, number, len(call.data)) + call.data)
        self.ends.append((self.ends[-1] if self.ends else 0) + CALL.size + len(call.data))

    def submit(self, master: Master, chunk_size: int) -> Job:
        """Make a job of them, `chunk_size` calls a chunk. Raises UnknownImage, InvalidJob, NotTravelling."""
        with self:
            return self._submit(master, chunk_size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._input.close()

    def _submit(self, master: Master, chunk_size: int) -> Job:
        spec = spec_of(self._options, self.name, f"{PACKAGE}.calls:run")
        pin = check_image(master, spec)
        with tempfile.TemporaryDirectory(prefix="dockercomp-") as folder:
            self._write_folder(Path(folder))
            program = send_program(master, Path(folder))
        digest = self._digest.hexdigest()
        master.upload(digest, self.ends[-1], self._input)
        files = list(self._files(digest, chunk_size))
        if len(files) < LISTED:
            request = SubmitRequest(spec=spec, program=program, inputs=files)
        else:
            request = SubmitRequest(spec=spec, program=program, input_list=_send_list(master, files))
        view = hand_in(master, request, pin)
        return Job(master, view.id, view)

    def _number(self, function: Callable[..., Any]) -> int:
        known = self._functions.get(id(function))
        if known is None:
            found = pickled_function(function)
            known = self._functions[id(function)] = (function, len(self._pickles))  # kept, so that its id stays its own
            self._pickles.append(found)
            self._modules.update(*(each.modules for each in found))
            self.name = self.name or getattr(function, "__name__", type(function).__name__)
        return known[1]

    def _write(self, data: bytes) -> None:
        self._input.write(data)
        self._digest.update(data)

    def _files(self, digest: str, chunk_size: int) -> Iterable[InputFile]:
        begin = 0
        for number, first in enumerate(range(0, len(self), chunk_size)):
            end = self.ends[min(first + chunk_size, len(self)) - 1]
            yield InputFile(name=f"{number:09d}", digest=digest, offset=begin, size=end - begin)
            begin = end

    # --- its folder ------------------------------------------------------------------------------------------------

    def _write_folder(self, folder: Path) -> None:
        for given in self._options.get("files", ()):
            _copy(Path(given), folder / Path(given).name)
        for place, path in module_files(self._modules).items():
            _copy(path, folder / place)
        _copy(Path(inside.__file__).parent, folder / PACKAGE)
        _copy(Path(cloudpickle.__file__).parent, folder / "cloudpickle")
        (folder / "dockercomp.py").write_text(_STUB)
        (folder / "functions").mkdir()
        for number, ways in enumerate(self._pickles):
            for way, each in enumerate(ways):
                (folder / "functions" / f"{number}.{way}").write_bytes(each.data)
        settings: dict[str, Any] = {
            "python": sys.version_info[:2],
            "functions": [[each.bound for each in ways] for ways in self._pickles],
        }
        if self._initializer is not None:
            (folder / "functions" / "initializer.0").write_bytes(self._initializer.data)
            settings["initializer"] = [self._initializer.bound]
        (folder / "calls.json").write_text(json.dumps(settings))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _send_list(master: Master, files: Iterable[InputFile]) -> str:
    """Upload the list of a job's inputs; returns its digest."""
    with tempfile.TemporaryFile() as target:
        digest = hashlib.sha256()
        for file in files:
            line = msgspec.json.encode(file) + b"\n"
            digest.update(line)
            target.write(line)
        master.upload(digest.hexdigest(), target.tell(), target)
    return digest.hexdigest()
