"""A job's declared plots, drawn of its result, or of what is accepted of it so far."""

import threading
from collections import OrderedDict
from fnmatch import fnmatchcase

import msgspec

from dockercomp.protocol.errors import Busy, NotFound, NotPlottable
from dockercomp.protocol.orders import PlotSpec
from server.plots.drawing import Plot, draw
from server.plots.reading import MOST_BYTES, CannotPlot
from server.results import Results, has_files, listed_name
from server.store.blobs import BlobReader
from server.store.connection import Document

_MOST_KEPT = 8
_PATIENCE_S = 3.0
_LARGEST_KEPT = 1 << 20
_MOST_FILES = 10_000
"""Files of a result that are looked through for the one that a plot names."""
_SO_FAR_BYTES = 1 << 20
"""Of a running job's results no more is read: its plots are drawn again and again."""


class Plotting:
    """Draws plots. Keeps the last few, by the mark of what they were drawn of."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._drawing = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], Plot] = OrderedDict()

    def plot(self, job: Document, number: int) -> Plot:
        """Plot `number`, from 1, of a job. Raises NotFound, NotPlottable with what is wrong with the data."""
        declared = msgspec.convert(job["spec"].get("plots", []), list[PlotSpec])
        if not 1 <= number <= len(declared):
            raise NotFound(f"job {job['_id']} declares {len(declared)} plots, there is no plot {number}")
        key = (str(job["_id"]), number, self.mark(job))
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        # One at a time: it may take a second and some hundred MiB, and syncs are to be answered meanwhile.
        if not self._drawing.acquire(timeout=_PATIENCE_S):
            raise Busy("other plots are being drawn; come again", retry_after=2)
        try:
            drawn = self._draw(job, number, declared[number - 1])
            if len(drawn.svg) + len(drawn.csv) <= _LARGEST_KEPT:
                self._kept[key] = drawn
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
            return drawn
        finally:
            self._drawing.release()

    def _draw(self, job: Document, number: int, spec: PlotSpec) -> Plot:
        subject = "the result"
        try:
            subject, reader = self._data(job, spec)
            most = MOST_BYTES if job["state"] == "completed" else _SO_FAR_BYTES
            data = reader.read_at(0, min(reader.size, most))
            return draw(spec, data, whole=reader.size <= most)
        except CannotPlot as error:
            named = f"plot {number}" + (f", {spec.title!r}," if spec.title else "")
            raise NotPlottable(f"{named} cannot be drawn: {subject} {error}") from error

    def mark(self, job: Document) -> str:
        """Changes when there is more to draw."""
        last = len(job["stages"]) - 1
        return str(job["state"] == "completed" or job.get("counters", {}).get(f"accepted_{last}", 0))

    def _data(self, job: Document, spec: PlotSpec) -> tuple[str, BlobReader]:
        """What is drawn, and its name in a sentence."""
        if has_files(job):
            name = self._file(job, spec.file)
            return f"the file {name} of the result", self._results.file(job, name)
        if spec.file:
            raise CannotPlot(f"is plain bytes and has no files, but the plot names the file {spec.file}")
        if job["state"] == "completed":
            return "the result", self._results.whole(job)
        found = self._results.so_far(job)
        if not found.results:
            raise CannotPlot("is not there yet: nothing of its last stage is accepted")
        return "what is accepted of the result so far", found.reader

    def _file(self, job: Document, pattern: str) -> str:
        """The first file of the result that the pattern matches."""
        seen, cursor = 0, ""
        first: list[str] = []
        while seen < _MOST_FILES:
            page = self._results.files(job, cursor, 500)
            for file in page.files:
                if not pattern or fnmatchcase(file.name, pattern) or fnmatchcase(listed_name(file.name), pattern):
                    return file.name
            first = first or [file.name for file in page.files[:5]]
            seen += len(page.files)
            cursor = page.next or ""
            if not cursor:
                break
        if not seen:
            raise CannotPlot("has no files (yet)")
        raise CannotPlot(f"has no file that matches {pattern!r}; it has {', '.join(first)}{' …' * (seen > 5)}")
