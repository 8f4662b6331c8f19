"""What a running chunk tells of itself, for those who watch: its progress, and its log and output as they grow."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dockercomp.protocol.messages import STREAM_PART, RunningReport

LONG_ENOUGH = 2.0
"""Seconds after which a chunk is worth telling of, and then again where there is something new."""
_SEEN_TO_LIVE = 10.0
"""Seconds after which it is told of again though there is nothing new."""
_WINDOW = 4 * STREAM_PART
"""Bytes kept until they are told; older ones are skipped, so that what is seen is never far behind."""
_LONGEST_MESSAGE = 200
_MOST_REPORTS = 64


@dataclass
class Stream:
    """The last bytes of what grows. `at` is the offset of the first of them."""

    at: int = 0
    held: bytes = b""

    def add(self, part: bytes) -> None:
        self.held += part[-_WINDOW:]
        self.at += max(0, len(part) - _WINDOW)
        if len(self.held) > _WINDOW:
            self.told(self.at + len(self.held) - _WINDOW)

    def told(self, end: int) -> None:
        """Forget what is before `end`."""
        if end > self.at:
            self.held, self.at = self.held[end - self.at :], end


@dataclass
class Live:
    """One run. Written by its slot's thread, read by the sync loop's."""

    lease: str
    on_checkpoint: Callable[[], None] = lambda: None
    seconds: Callable[[], float] = lambda: 0.0
    """Running time so far."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _fraction: float | None = None
    _message: str = ""
    _checkpoint: int = 0
    _last: RunningReport | None = None
    _log: Stream = field(default_factory=Stream)
    _output: Stream = field(default_factory=Stream)

    def log(self, part: bytes) -> None:
        with self._lock:
            self._log.add(part)

    def output(self, part: bytes) -> None:
        with self._lock:
            self._output.add(part)

    def progress(self, written: bytes) -> None:
        """As the program wrote it: a fraction and a message, both optional."""
        fraction, message = parse_progress(written)
        with self._lock:
            self._fraction, self._message = fraction, message

    def checkpoint(self, size: int) -> None:
        self._checkpoint = size
        self.on_checkpoint()

    def report(self) -> RunningReport:
        with self._lock:
            return RunningReport(
                lease=self.lease,
                seconds=self.seconds(),
                progress=self._fraction,
                message=self._message,
                checkpoint=self._checkpoint,
                log_from=self._log.at,
                log=self._log.held[:STREAM_PART],
                output_from=self._output.at,
                output=self._output.held[:STREAM_PART],
            )

    def due(self) -> bool:
        """Whether it is time to tell of it (again)."""
        seconds = self.seconds()
        with self._lock:
            last = self._last
            if last is None:
                return seconds >= LONG_ENOUGH
            now = (self._fraction, self._message, self._checkpoint)
            news = self._log.held or self._output.held or now != (last.progress, last.message, last.checkpoint)
            return seconds - last.seconds >= (LONG_ENOUGH if news else _SEEN_TO_LIVE)

    def told(self, report: RunningReport) -> None:
        """The master has this."""
        with self._lock:
            self._last = report
            self._log.told(report.log_from + len(report.log))
            self._output.told(report.output_from + len(report.output))


class Watched:
    """The runs that go on now. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: dict[str, Live] = {}

    def begin(self, live: Live) -> None:
        with self._lock:
            self._live[live.lease] = live

    def end(self, live: Live) -> None:
        with self._lock:
            self._live.pop(live.lease, None)

    def reports(self) -> list[RunningReport]:
        """Of all that have run for some time and have something to tell."""
        with self._lock:
            found = [live for live in self._live.values() if live.due()]
        return [live.report() for live in found[:_MOST_REPORTS]]

    def told(self, reports: Iterable[RunningReport]) -> None:
        for report in reports:
            with self._lock:
                live = self._live.get(report.lease)
            if live is not None:
                live.told(report)


def parse_progress(written: bytes) -> tuple[float | None, str]:
    """(fraction, message) of a progress file's first line."""
    line = written.decode(errors="replace").split("\n", 1)[0].strip()
    word, _, rest = line.partition(" ")
    try:
        fraction = float(word)
    except ValueError:
        return None, line[:_LONGEST_MESSAGE]
    if not 0 <= fraction <= 1:
        return None, line[:_LONGEST_MESSAGE]
    return fraction, rest.strip()[:_LONGEST_MESSAGE]
