"""The chunks of a text, found and read in the same way for all peers."""

from collections.abc import Iterator
from pathlib import Path


def spans(text: Path, size: int) -> list[tuple[int, int]]:
    """Bytes [start, stop) of whole lines, about `size` of them each."""
    with text.open("rb") as file:
        end = file.seek(0, 2)
        cuts = [0]
        for at in range(size, end, size):
            file.seek(at - 1)
            file.readline()
            cuts.append(file.tell())
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def read(text: Path, span: tuple[int, int]) -> bytes:
    with text.open("rb") as file:
        file.seek(span[0])
        return file.read(span[1] - span[0])


def blocks(text: Path, size: int) -> Iterator[bytes]:
    """The chunks themselves, one after the other."""
    for span in spans(text, size):
        yield read(text, span)
