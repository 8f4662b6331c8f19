"""How a job's input is cut into chunks: pure arithmetic, no I/O. Nothing is read to count chunks.

lines, jsonl   chunk k of a file is the lines that start in bytes [k·size, (k+1)·size), found when it is read
csv            as lines, where a line end within quotes ends nothing; the header is given again with each chunk
bytes          bytes [k·size, (k+1)·size)
records        as bytes, with whole records
files          files [k·n, (k+1)·n) of the inputs, in the order of their names
range          numbers [start + k·n, start + (k+1)·n)
product        combinations [k·n, (k+1)·n)
"""

from math import prod

from dockercomp.protocol.orders import BYTE_SPLITS, InputSpec


def chunk_bytes(spec: InputSpec) -> int:
    """Bytes a chunk of a byte-wise split: for records a whole number of them."""
    if spec.split == "records":
        return max(1, spec.chunk_size // spec.record_size) * spec.record_size
    return spec.chunk_size


def of_file(spec: InputSpec, size: int) -> int:
    """Chunks that a file of so many bytes is cut into; 0 where the split does not cut files."""
    return -(-size // chunk_bytes(spec)) if spec.split in BYTE_SPLITS else 0


def bounds(spec: InputSpec) -> tuple[int, int]:
    """The numbers [start, stop) of a range, or of a product's combinations (without its parameters: as counted)."""
    if spec.split == "product":
        return 0, combinations(spec) if spec.parameters else spec.stop
    return spec.start, spec.stop


def combinations(spec: InputSpec) -> int:
    return prod(len(values) for values in spec.parameters.values())


def of_numbers(spec: InputSpec) -> int:
    """Chunks of a range or product."""
    start, stop = bounds(spec)
    return -(-(stop - start) // spec.per_chunk)


def numbers(spec: InputSpec, index: int) -> tuple[int, int]:
    """The numbers [start, stop) of a chunk of a range or product."""
    first, last = bounds(spec)
    start = first + index * spec.per_chunk
    return start, min(start + spec.per_chunk, last)


def of_files(spec: InputSpec, files: int) -> int:
    """Chunks of so many files in a files split."""
    return -(-files // spec.files_per_chunk)


def files(spec: InputSpec, index: int, count: int) -> tuple[int, int]:
    """The files [first, last) of a chunk of a files split of `count` files."""
    return index * spec.files_per_chunk, min((index + 1) * spec.files_per_chunk, count)


def span(spec: InputSpec, within: int, size: int) -> tuple[int, int]:
    """The nominal bytes [start, stop) of chunk number `within` of a file of `size` bytes."""
    each = chunk_bytes(spec)
    return within * each, min((within + 1) * each, size)
