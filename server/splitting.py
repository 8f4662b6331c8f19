"""How a job's input is cut into chunks: pure arithmetic, no I/O. Nothing is read to count chunks.

lines      chunk k of a file is the lines that start in bytes [k·size, (k+1)·size); boundaries are found when it is read
bytes      bytes [k·size, (k+1)·size)
records    as bytes, with whole records
files      files [k·n, (k+1)·n) of the inputs, in the order of their names
range      numbers [start + k·n, start + (k+1)·n)
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from dockercomp.protocol.orders import InputSpec
from dockercomp.protocol.views import InputFile


@dataclass(frozen=True)
class Span:
    """Bytes [start, stop) of one input, before line boundaries are looked for."""

    file: InputFile
    start: int
    stop: int


def chunk_bytes(spec: InputSpec) -> int:
    """Bytes a chunk of a byte-wise split: for records a whole number of them."""
    if spec.split == "records":
        return max(1, spec.chunk_size // spec.record_size) * spec.record_size
    return spec.chunk_size


def count(spec: InputSpec, inputs: Sequence[InputFile]) -> int:
    """Chunks in all."""
    if spec.split == "range":
        return -(-(spec.stop - spec.start) // spec.per_chunk)
    if spec.split == "files":
        return -(-len(inputs) // spec.files_per_chunk)
    return sum(_chunks_of(spec, file) for file in inputs)


def numbers(spec: InputSpec, index: int) -> tuple[int, int]:
    """The numbers [start, stop) of a chunk of a range split."""
    start = spec.start + index * spec.per_chunk
    return start, min(start + spec.per_chunk, spec.stop)


def files(spec: InputSpec, inputs: Sequence[InputFile], index: int) -> Sequence[InputFile]:
    """The files of a chunk of a files split."""
    return inputs[index * spec.files_per_chunk : (index + 1) * spec.files_per_chunk]


def span(spec: InputSpec, inputs: Sequence[InputFile], index: int) -> Span:
    """Where a chunk of a byte-wise split lies. No chunk crosses from one input into the next."""
    ends = list(accumulate(_chunks_of(spec, file) for file in inputs))
    which = bisect_right(ends, index)
    within = index - (ends[which - 1] if which else 0)
    size = chunk_bytes(spec)
    file = inputs[which]
    return Span(file, within * size, min((within + 1) * size, file.size))


def _chunks_of(spec: InputSpec, file: InputFile) -> int:
    return -(-file.size // chunk_bytes(spec))
