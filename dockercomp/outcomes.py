"""What became of calls, read from the text that came back: values, or errors of the function.

An error is raised here as RemoteError; where it was of a type built into Python, also as that type, so that an
`except ValueError` written for a local pool goes on to work.
"""

import builtins
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from .inside.values import Unreadable, value_of

_BUILT_IN = (
    "ArithmeticError", "AssertionError", "AttributeError", "BufferError", "EOFError", "FloatingPointError",
    "IndexError", "KeyError", "LookupError", "MemoryError", "NameError", "NotImplementedError", "OverflowError",
    "RecursionError", "RuntimeError", "TypeError", "ValueError", "ZeroDivisionError",
)  # fmt: skip


class RemoteError(Exception):
    """The function raised an error in its container, or what it returned cannot be brought back.

    `kind` is the name of the error's type, `text` what it said, `traceback` where it happened, as text.
    """

    def __init__(self, kind: str, text: str, traceback: str = "") -> None:
        super().__init__(text)
        self.kind, self.text, self.traceback = kind, text, traceback

    def __str__(self) -> str:
        where = f"\n\nIn the container:\n{self.traceback.rstrip()}" if self.traceback else ""
        return f"{self.kind}: {self.text}{where}"

    def __reduce__(self) -> tuple[Any, ...]:
        return remote_error, (self.kind, self.text, self.traceback)


@dataclass(frozen=True)
class Outcome:
    """Of one call: `error` where it has one, else `value`."""

    value: Any = None
    error: Exception | None = None


def outcomes(result: bytes, calls: int) -> list[Outcome]:
    """What a chunk's result says of its `calls` calls; a result that cannot be read is an error of each."""
    try:
        found = json.loads(result)
        if not isinstance(found, list) or len(found) != calls:
            raise ValueError(f"it does not tell of {calls} calls")
        return [_outcome(each) for each in found]
    except (ValueError, RecursionError) as error:
        unreadable = remote_error("Unreadable", f"the chunk's result cannot be read: {error}")
        return [Outcome(error=unreadable)] * calls


def remote_error(kind: str, text: str, traceback: str = "") -> RemoteError:
    """A RemoteError, which for a built-in `kind` is one of that type too."""
    return _type(kind)(kind, text, traceback)


def _outcome(plain: Any) -> Outcome:
    match plain:
        case ["value", value]:
            try:
                return Outcome(value_of(value))
            except Unreadable as error:
                return Outcome(error=remote_error("Unreadable", str(error)))
        case ["error", str(kind), str(text), str(traceback)]:
            return Outcome(error=remote_error(kind, text, traceback))
    raise ValueError("it holds something else than outcomes of calls")


@cache
def _types() -> dict[str, type[RemoteError]]:
    return {name: type("RemoteError", (RemoteError, getattr(builtins, name)), {}) for name in _BUILT_IN}


def _type(kind: str) -> type[RemoteError]:
    return _types().get(kind, RemoteError)
