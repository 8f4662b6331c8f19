"""What a chunk computes on, in words: file names, bytes, numbers."""

from collections.abc import Sequence

from dockercomp.protocol.orders import NUMBER_SPLITS, InputSpec, JobSpec, Parameter
from server import plan, splitting
from server.sources import Sources
from server.store.connection import Document

_MOST_FILES = 3
"""Files of one chunk that are named."""
_LONGEST = 300


class Names:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def of(self, job: Document, spec: JobSpec, stage: int, index: int) -> str:
        """The input of a chunk. Reads a few rows of the job's table. Raises NotFound where that is gone."""
        if stage > 0:
            return _of_reducer(job, spec, stage, index)
        if spec.input.split in NUMBER_SPLITS:
            return _bounded(_of_numbers(spec.input, index))
        table = self._sources.table(job["inputs"])
        if spec.input.split == "files":
            first, last = splitting.files(spec.input, index, len(table))
            names = [row.extent.label.name for row in table.rows(first, min(last, first + _MOST_FILES))]
            return _bounded(", ".join(names) + (f" and {last - first - len(names)} more" if last - first > 3 else ""))
        row, within = table.of_chunk(index)
        start, stop = splitting.span(spec.input, within, row.extent.size)
        whole = start == 0 and stop == row.extent.size
        return _bounded(row.extent.label.name + ("" if whole else f", bytes {start} to {stop - 1}"))


def _of_reducer(job: Document, spec: JobSpec, stage: int, index: int) -> str:
    here = plan.stage_of(job["stages"][str(stage)])
    below = job["stages"][str(here.reads)]
    if plan.is_tree(spec):
        first, last = plan.group(spec, here, index, below["total"])
        return f"results {first} to {last - 1} of {below['name']}"
    if spec.map.outputs and plan.divided(spec):
        return f"all results' files {spec.map.outputs[index]}"
    return f"partition {index} of all results" if plan.divided(spec) else "all results of the map"


def _of_numbers(spec: InputSpec, index: int) -> str:
    start, stop = splitting.numbers(spec, index)
    if spec.split == "product" and stop - start == 1:
        return " ".join(f"{name}={value}" for name, value in _combination(spec, start))
    what = "combination" if spec.split == "product" else "number"
    return f"{what} {start}" if stop - start == 1 else f"{what}s {start} to {stop - 1}"


def _combination(spec: InputSpec, number: int) -> Sequence[tuple[str, Parameter]]:
    """The parameters of one combination; the last one counts fastest."""
    chosen: list[tuple[str, Parameter]] = []
    for name, values in reversed(spec.parameters.items()):
        number, place = divmod(number, len(values))
        chosen.append((name, values[place]))
    return chosen[::-1]


def _bounded(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
