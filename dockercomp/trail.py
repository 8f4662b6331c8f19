"""The logs of running chunks, as lines that were not shown before. Pure but for `read`."""

from collections.abc import Callable, Iterable, Iterator

from .protocol.views import RunningChunk

Read = Callable[[str, int], tuple[int, bytes]]
"""The log of a lease from a byte on, and the byte where what is still kept of that begins."""


class Trail:
    """Remembers how far each run's log was shown."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._shown: dict[str, int] = {}
        self._tails: dict[str, str] = {}

    def lines(self, running: Iterable[RunningChunk]) -> Iterator[str]:
        """Whole lines that are new, each with its chunk and client; `…` where some are no longer kept."""
        tails: dict[str, str] = {}
        for chunk in running:
            tails[chunk.lease] = chunk.log_tail
            if chunk.log_tail != self._tails.get(chunk.lease, ""):
                for line in self._new(chunk.lease):
                    yield f"{chunk.stage} {chunk.index} on {chunk.client}: {line}"
        self._tails = tails
        self._shown = {lease: at for lease, at in self._shown.items() if lease in tails}

    def _new(self, lease: str) -> Iterator[str]:
        shown = self._shown.get(lease, 0)
        begin, data = self._read(lease, shown)
        if begin > shown:
            yield "…"
        whole = data[: data.rfind(b"\n") + 1]
        yield from whole.decode(errors="replace").splitlines()
        self._shown[lease] = begin + len(whole)
