"""How a job's progress is shown: one line that moves on a terminal, a line now and then elsewhere."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskProgressColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as RichProgress

from .protocol.views import JobView

WINDOW_S = 20.0
"""The rate is that of the last so many seconds."""
QUIET_S = 10.0
"""Without a terminal: longest time between two lines while something moves."""


class Rate:
    """Chunks a second over the last WINDOW_S seconds, and the time that the rest will take."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, now: float, done: int) -> None:
        """`done` chunks were accepted at `now`, in seconds of any steady clock."""
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - WINDOW_S:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        (first, before), (last, after) = self._seen[0], self._seen[-1]
        return (after - before) / (last - first) if last > first else 0.0

    def eta(self, left: int) -> float | None:
        """Seconds until `left` more are done; None while nothing moves."""
        return left / self.per_second if self.per_second > 0 else None


def counts(view: JobView) -> tuple[int, int]:
    """Chunks accepted and chunks in all, of all stages."""
    return sum(stage.accepted for stage in view.stages), sum(stage.chunks for stage in view.stages)


def standing(view: JobView, rate: Rate) -> str:
    """What a job's line says now."""
    done, total = counts(view)
    eta = rate.eta(total - done)
    parts = [
        ", ".join(f"{stage.name} {stage.accepted:,}/{stage.chunks:,}" for stage in view.stages),
        f"{rate.per_second:.1f} chunks/s",
        f"ETA {remaining(view) or (span(eta) if eta is not None else '-')}",
        view.waiting,
    ]
    return "  ".join(part for part in parts if part)


def remaining(view: JobView) -> str:
    """How long the master thinks that it still takes, as a range; empty while it cannot say."""
    if view.eta_low_s is None or view.eta_high_s is None:
        return ""
    low, high = span(view.eta_low_s), span(view.eta_high_s)
    return low if low == high else f"{low} to {high}"


def span(seconds: float) -> str:
    """A duration as people say it: `9 s`, `4 min 10 s`, `3 h 05 min`, `2 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


class Display(Protocol):
    """Shows a job while it runs; `close` may be called at any moment, more than once."""

    def show(self, view: JobView) -> None: ...

    def note(self, text: str) -> None:
        """Something beside the progress, such as a master that does not answer."""

    def close(self) -> None: ...


def display(console: Console) -> Display:
    return (
        Bar(console)
        if console.is_terminal
        else Lines(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))
    )


class Bar:
    """One moving line."""

    def __init__(self, console: Console) -> None:
        self._rate = Rate()
        columns = (
            TextColumn("{task.fields[name]}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
        )
        self._bar = RichProgress(
            *columns, TextColumn("{task.fields[text]}", markup=False), console=console, transient=True
        )
        self._task = self._bar.add_task("", total=None, name="", text="")
        self._bar.start()

    def show(self, view: JobView) -> None:
        done, total = counts(view)
        self._rate.add(time.monotonic(), done)
        text = standing(view, self._rate)
        self._bar.update(self._task, completed=done, total=total, name=view.name, text=text)

    def note(self, text: str) -> None:
        self._bar.update(self._task, text=text)

    def close(self) -> None:
        self._bar.stop()


class Lines:
    """A line at each tenth of the way, when what it waits for changes, and every QUIET_S seconds while it moves."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._rate = Rate()
        self._last: tuple[int, str] | None = None
        self._last_done, self._last_at = -1, 0.0
        self._note = ""

    def show(self, view: JobView) -> None:
        now = self._clock()
        done, total = counts(view)
        self._rate.add(now, done)
        mark = (10 * done // total if total else 0, view.waiting)
        if mark != self._last or (now - self._last_at >= QUIET_S and done != self._last_done):
            percent = 100 * done // total if total else 0
            self._write(f"{view.name}  {percent:3d} %  {standing(view, self._rate)}")
            self._last, self._last_done, self._last_at = mark, done, now
        self._note = ""

    def note(self, text: str) -> None:
        if text != self._note:
            self._write(text)
            self._note = text

    def close(self) -> None:
        pass


# --- uploads ---------------------------------------------------------------------------------------------------------

LARGE = 16 * 2**20
"""Bytes below which sending is not worth a word."""


def reading(console: Console) -> AbstractContextManager[object]:
    """Shows on a terminal that inputs are being read, which takes its time where they are large."""
    return console.status("reading the inputs") if console.is_terminal else nullcontext()


@contextmanager
def sending(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Shows how far an upload is: gives a function that is told the bytes sent so far and in all."""
    if not console.is_terminal:
        yield UploadLines(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)).told
        return
    columns = (BarColumn(), TaskProgressColumn(), DownloadColumn(binary_units=True), TransferSpeedColumn())
    with RichProgress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total >= LARGE)


class UploadLines:
    """A line at each tenth of the way."""

    def __init__(self, write: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._first: tuple[float, int] | None = None
        self._tenth = 0

    def told(self, done: int, total: int) -> None:
        now = self._clock()
        first, before = self._first = self._first or (now, done)
        tenth = 10 * done // total if total >= LARGE else 0
        if tenth > self._tenth:
            rate = (done - before) / (now - first) / 2**20 if now > first else 0.0
            self._write(f"sent {10 * tenth:3d} %, {done:,} of {total:,} bytes, {rate:.1f} MiB/s")
            self._tenth = tenth
