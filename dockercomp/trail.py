"""The logs of running chunks, as lines that were not shown before. Pure."""

from collections.abc import Iterable, Iterator

from .protocol.views import RunningChunk


class Trail:
    """Remembers the end of each run's log: the master tells no more than that."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def lines(self, running: Iterable[RunningChunk]) -> Iterator[str]:
        """Whole lines that are new, each with its chunk and client; `…` where some were missed."""
        now: dict[str, str] = {}
        for chunk in running:
            whole = chunk.log_tail[: chunk.log_tail.rfind("\n") + 1]
            now[chunk.lease] = whole
            for line in _new(self._seen.get(chunk.lease, ""), whole):
                yield f"{chunk.stage} {chunk.index} on {chunk.client}: {line}"
        self._seen = now


def _new(before: str, now: str) -> list[str]:
    """The lines of `now` after those that `before` ends with."""
    if not before:
        return now.splitlines()
    old, lines = before.splitlines(), now.splitlines()
    for kept in range(min(len(old), len(lines)), 0, -1):
        if old[-kept:] == lines[:kept]:
            return lines[kept:]
    return ["…", *lines] if lines else []
