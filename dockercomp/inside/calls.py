"""Runs the calls of one chunk, inside the container, and gives what came of each as one line of JSON.

The chunk is one file: for each call a byte that tells whether its pickle needs the Python that wrote it, the number of
the function and the size of the pickle of (args, kwargs), little-endian, then that pickle. Pickle goes only this way.

The job folder has `calls.json` ({"python": [3, 11], "functions": [[needs that Python, ...], ...]}) and, for function n,
`functions/n.k`: its pickles, the first that can be loaded counts. `functions/initializer.0` is called once before.
"""

import json
import pickle
import re
import struct
import sys
import traceback
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

from . import values

CALL = struct.Struct("<BIQ")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")
_LONGEST_TEXT = 16 * 1024
_FOLDER = Path(__file__).resolve().parent.parent

_Call = Tuple[Any, Tuple[Any, ...], Dict[str, Any]]


class WrongPython(Exception):
    """Pickled code that this Python cannot run."""


class _Functions:
    """The job's functions, each loaded when it is first called."""

    def __init__(self) -> None:
        self._settings = json.loads((_FOLDER / "calls.json").read_text(encoding="utf-8"))
        self._loaded: Dict[str, Any] = {}
        self._initializer = self._settings.get("initializer")
        self._refusal: Optional[BaseException] = None

    def initialise(self) -> None:
        """Call the initializer, once. Raises what it raised, every time."""
        if self._initializer is not None:
            bounds, self._initializer = self._initializer, None
            try:
                function, args = self._load("initializer", bounds)
                function(*args)
            except BaseException as error:
                self._refusal = error
        if self._refusal is not None:
            raise self._refusal

    def get(self, number: int) -> Any:
        name = str(number)
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._settings["functions"][number])
        return self._loaded[name]

    def load(self, data: bytes, bound: bool) -> Any:
        """What was pickled; `bound` where only the Python that wrote it can read it. Raises WrongPython."""
        written, here = tuple(self._settings["python"]), tuple(sys.version_info[:2])
        if bound and written != here:
            raise WrongPython(
                "a function that is defined in a notebook, in the main program or inside another function travels as"
                " bytecode of Python %d.%d, but the image has Python %d.%d. Either use an image with Python %d.%d"
                " (image=...), or put the function into a module file of its own beside your program, which travels"
                " as source and runs on any Python 3" % (written + here + written)
            )
        return pickle.loads(data)  # noqa: S301  (the scientist's own, within the job's signed folder and input)

    def _load(self, name: str, bounds: List[bool]) -> Any:
        errors = []
        for number, bound in enumerate(bounds):
            try:
                return self.load((_FOLDER / "functions" / ("%s.%d" % (name, number))).read_bytes(), bound)
            except Exception as error:
                errors.append(error)
        raise errors[0]


@lru_cache(maxsize=1)
def _functions() -> _Functions:
    """One for all chunks: the container stays warm."""
    return _Functions()


def run(paths: List[str]) -> bytes:
    """The job's map function: calls what one chunk's file asks for."""
    data = Path(paths[0]).read_bytes()
    return ("[%s]\n" % ",".join(_outcome(_functions(), *call) for call in _calls(data))).encode()


def _calls(data: bytes) -> Iterator[Tuple[bool, int, bytes]]:
    at = 0
    while at < len(data):
        bound, number, size = CALL.unpack_from(data, at)
        at += CALL.size
        yield bool(bound), number, data[at : at + size]
        at += size


def _outcome(functions: _Functions, bound: bool, number: int, data: bytes) -> str:
    """`["value", …]` or `["error", type, text, traceback]`, as text."""
    try:
        functions.initialise()
        function = functions.get(number)
        args, kwargs = functions.load(data, bound)
    except BaseException as error:
        return _failed(error, _hint(error))
    try:
        value = function(*args, **kwargs)
    except BaseException as error:
        return _failed(error, "")
    try:
        return '["value",%s]' % values.encode(value)
    except values.NotPlain as error:
        return json.dumps(["error", "NotPlain", str(error), ""])


def _hint(error: BaseException) -> str:
    if isinstance(error, ImportError):
        return " (inside the container: use an image that has this module, or keep it beside your program as source)"
    return ""


def _failed(error: BaseException, hint: str) -> str:
    """The same text on every machine: without addresses, and without our own frames."""
    own = error.__traceback__.tb_next if error.__traceback__ is not None else None
    told = "".join(traceback.format_exception(type(error), error, own))
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    return json.dumps(["error", type(error).__name__, _steady(text + hint), _steady(told)])


def _steady(text: str) -> str:
    short = text if len(text) <= _LONGEST_TEXT else "…" + text[-_LONGEST_TEXT:]
    return _ADDRESS.sub("0x…", short).encode("utf-8", "replace").decode()
