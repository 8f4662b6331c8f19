"""What comes from a runner during one run, and what has gone wrong with it."""

from dockercomp.protocol.messages import Failure, FailureReason

from .capture import OUTPUT_LIMIT, Log, Output
from .channel import Channel, End, decode_end
from .gathering import Gathering, NoResult

EMPTY_HINT = "The program's result is empty.\n"


class Reception:
    """Takes the frames of one run. `files` is given where the result is files."""

    def __init__(self, channel: Channel, output: Output, log: Log, files: Gathering | None = None) -> None:
        self.output, self.log = output, log
        self.no_result = ""
        """Why there is none, though the program ended well."""
        self._channel, self._files = channel, files

    def take(self, kind: bytes, payload: bytes) -> End | None:
        """The end, once it comes. Raises ChannelError, and OSError where the result cannot be kept."""
        if kind == b"X":
            return decode_end(payload)
        if kind == b"O":
            self._output(payload)
        elif kind == b"L":
            self.log.add(payload)
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
        if not self.no_result and not self.output.add(payload):
            self.no_result = f"the result is larger than {OUTPUT_LIMIT >> 20} MiB"
            self._channel.kill()

    def _file(self, files: Gathering, kind: bytes, payload: bytes) -> None:
        if kind == b"F":
            files.offer(payload)
        elif kind == b"D":
            self.output.add(files.choose())
            self._channel.ask(files.request())
        elif files.ended():
            self._channel.ask(files.request())

    def failure(self, end: End, *, cancelled: bool, out_of_memory: str, time_limit: float) -> Failure | None:
        """What went wrong, if anything did. `out_of_memory` is the sentence where the cgroup counted a kill."""
        reason: FailureReason
        if self.no_result:
            reason, message = "output", self.no_result
        elif cancelled:
            reason, message = "refused", "cancelled"
        elif end.timed_out:
            reason, message = "time", f"ran longer than its time limit of {time_limit:g} s"
        elif end.code == 0:
            return None
        elif out_of_memory:
            reason, message = "memory", out_of_memory
        elif end.signal:
            reason, message = "signal", f"ended by signal {end.signal}"
        else:
            reason, message = "exit", f"ended with exit code {end.code}"
        code = end.code if end.code >= 0 else None
        return Failure(reason=reason, message=message, exit_code=code, log_head=self.log.head, log_tail=self.log.tail)

    def brief(self) -> str:
        """The log to keep of a result."""
        hint = EMPTY_HINT if self._files is None and not self.output.size else ""
        return self.log.brief + hint
