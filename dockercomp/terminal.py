"""What the command line says: results and tables on standard output, everything else on standard error; exit codes."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from . import credentials
from .client import Client
from .protocol.errors import (
    Busy,
    DockercompError,
    Forbidden,
    Problem,
    Unauthorized,
    Unavailable,
    problem_of,
)

OK, FAILED, USAGE, UNREACHABLE, NOT_ALLOWED, INTERRUPTED = 0, 1, 2, 3, 4, 130

EXIT_CODES = """\b
Exit codes:
  0    done
  1    the job failed or was cancelled
  2    wrong usage, or a job, input or name that cannot be used
  3    the master does not answer
  4    not allowed: no token, a wrong one, or one without the right
  130  interrupted with Ctrl-C"""


@dataclass
class Session:
    """One run of the command line: where it talks to and how it answers."""

    json: bool = False
    url: str = ""
    token: str = ""
    out: Console = field(default_factory=lambda: _console(False))
    err: Console = field(default_factory=lambda: _console(True))

    def client(self) -> AbstractContextManager[Client]:
        """A client of the master that options, environment or files name. Raises as credentials.find does."""
        found = credentials.find(self.url, self.token)
        self.url = found.url
        return Client(found.url, found.token, pin=found.pin)

    def say(self, text: str) -> None:
        """Beside the answer, such as what is being done."""
        self.err.print(text)

    def answer(self, value: object, text: Callable[[], None]) -> None:
        """The answer: `value` as the one JSON document, or what `text` prints."""
        if self.json:
            sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
            sys.stdout.buffer.flush()
        else:
            text()

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
        """Aligned columns; the sentence `empty` where there is no row."""
        table = Table(*heads, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        if table.row_count:
            self.out.print(table)
        else:
            self.say(empty)

    def fail(self, error: DockercompError) -> int:
        """Say what went wrong, why, and what to do; returns the exit code."""
        text = _paragraph(error, self.url)
        self.say(f"dockercomp: {text}")
        if self.json:
            problem = msgspec.structs.replace(problem_of(error), detail=text)
            self.answer({"error": problem}, lambda: None)
        return exit_code(error)

    def misused(self, text: str) -> int:
        """Say how the command line was used wrongly; returns the exit code."""
        self.say(f"dockercomp: {text}")
        if self.json:
            self.answer({"error": Problem(title="Wrong usage", status=0, code="usage", detail=text)}, lambda: None)
        return USAGE


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 1000  # nothing is cut short for a program that reads it
    return console


def exit_code(error: DockercompError) -> int:
    if isinstance(error, Unauthorized | Forbidden):
        return NOT_ALLOWED
    if isinstance(error, Unavailable | Busy) or type(error) is DockercompError:  # the latter: the master failed
        return UNREACHABLE
    return USAGE


def _paragraph(error: DockercompError, url: str) -> str:
    prefix = f"no answer from {url}: "
    if isinstance(error, Unavailable) and error.detail.startswith(prefix):
        reason = error.detail.removeprefix(prefix)
        return (
            f"the master at {url} does not answer: {reason}. Is it running? Start it with server/start, or name"
            " another one with --url or DC_HOST and DC_PORT."
        )
    if isinstance(error, Unavailable | Busy):
        return f"the master at {url} cannot serve now: {error.detail}. Try again in a moment."
    if isinstance(error, Unauthorized) and error.detail == error.title:
        return f"the master at {url} does not know this token; get a valid one from its admin."
    return error.detail
