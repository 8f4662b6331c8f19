"""What comes from a runner during one run, and what has gone wrong with it."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dockercomp.protocol.messages import Failure, FailureReason

from .capture import OUTPUT_LIMIT, Log, Output
from .channel import Channel, End, decode_end
from .checkpoints import Saving
from .disk import NoRoom
from .gathering import Gathering, NoResult
from .live import Live

log = logging.getLogger(__name__)

EMPTY_HINT = "The program's result is empty.\n"


@dataclass
class Told:
    """Who hears of a run: `files` where its result is files, `checkpoints` where it may have some."""

    live: Live
    input: bytes | Path = b""
    files: Gathering | None = None
    checkpoints: Callable[[], Saving] | None = None


class Reception:
    """Takes the frames of one run."""

    def __init__(self, channel: Channel, output: Output, told: Told) -> None:
        self.output, self.log = output, Log(told.live.log)
        self.no_result = ""
        """Why there is none, though the program ended well."""
        self.no_room = ""
        """Why this machine cannot keep it, which is nobody's fault."""
        self._channel, self._live, self._files, self._checkpoints = channel, told.live, told.files, told.checkpoints
        self._saving: Saving | None = None

    def __enter__(self) -> "Reception":
        return self

    def __exit__(self, *_: object) -> None:
        if self._saving is not None:
            self._saving.close()

    def take(self, kind: bytes, payload: bytes) -> End | None:
        """The end, once it comes. Raises ChannelError, and OSError where the result cannot be kept."""
        if kind == b"X":
            return decode_end(payload)
        if kind == b"O":
            self._output(payload)
        elif kind == b"L":
            self.log.add(payload)
        elif kind == b"P":
            self._live.progress(payload)
        elif kind == b"C" and self._checkpoints is not None:
            self._checkpoint(self._checkpoints, payload)
        elif kind in b"FDN" and self._files is not None and not self.no_result:
            try:
                self._file(self._files, kind, payload)
            except NoResult as error:
                self.no_result = str(error)
                self._channel.kill()
        return None

    def _output(self, payload: bytes) -> None:
        if self._files is not None:
            self._files.received(len(payload))
        else:
            self._live.output(payload)
        if self.no_result or self.no_room:
            return
        try:
            if not self.output.add(payload):
                self.no_result = f"the result is larger than {OUTPUT_LIMIT >> 20} MiB"
                self._channel.kill()
        except NoRoom as error:
            self.no_room = f"the result cannot be kept here: {error}"
            self._channel.kill()

    def _checkpoint(self, checkpoints: Callable[[], Saving], part: bytes) -> None:
        """One that cannot be kept is not the chunk's fault: it goes on without."""
        try:
            if self._saving is None:
                self._saving = checkpoints()
            size = self._saving.add(part)
        except OSError as error:
            log.warning("lease %s: its checkpoint is not kept: %s", self._live.lease, error)
            self._checkpoints = None
        else:
            if size is not None:
                self._live.checkpoint(size)

    def _file(self, files: Gathering, kind: bytes, payload: bytes) -> None:
        if kind == b"F":
            files.offer(payload)
        elif kind == b"D":
            self.output.add(files.choose())
            self._channel.ask(files.request())
        elif files.ended():
            self._channel.ask(files.request())

    def failure(
        self, end: End, *, cancelled: bool, out_of_memory: Callable[[], bool], memory: int, time_limit: float
    ) -> Failure | None:
        """What went wrong, if anything did. `out_of_memory` asks whether the cgroup counted a kill; `memory` is its
        limit in bytes."""
        reason: FailureReason
        if self.no_result:
            reason, message = "output", self.no_result
        elif self.no_room:
            reason, message = "refused", self.no_room
        elif cancelled:
            reason, message = "refused", "cancelled"
        elif end.timed_out:
            reason, message = "time", f"ran longer than its time limit of {time_limit:g} s"
            if out_of_memory():  # a pool, say, that waits for a process that was killed
                message += f", after parts of it were killed for needing more than its {memory >> 20} MiB of memory"
        elif end.code == 0:
            return None
        elif out_of_memory():
            reason = "memory"
            message = f"needed more than its {memory >> 20} MiB of memory (scratch included) and was killed"
        elif end.signal:
            reason, message = "signal", f"ended by signal {end.signal} ({signal.strsignal(end.signal)})"
        else:
            reason, message = "exit", f"ended with exit code {end.code}"
        code = end.code if end.code >= 0 else None
        return Failure(reason=reason, message=message, exit_code=code, log_head=self.log.head, log_tail=self.log.tail)

    def brief(self) -> str:
        """The log to keep of a result."""
        hint = EMPTY_HINT if self._files is None and not self.output.size else ""
        return self.log.brief + hint
