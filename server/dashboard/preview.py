"""A look at the first bytes of a result: as a table, text, a picture, or hexadecimal. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from server.plots.raster import media_type
from server.plots.reading import CannotPlot, Table, is_number, read

LOOK = 16 * 1024
"""Bytes that a preview is made of."""
_LINES = 20
_ROWS = 12
_COLUMNS = 12
_WIDEST = 300
_HEX = 256
_MOST_SHOWN = 8 * 2**20
"""Larger pictures are not shown."""
_LOOKS_LIKE_A_PICTURE = (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"II*\0", b"MM\0*", b"BM")


@dataclass(frozen=True)
class Preview:
    """`text` is what is shown of text, and the hexadecimal of anything else; `columns` and `rows` are of a table."""

    kind: Literal["empty", "table", "text", "picture", "binary"]
    size: int
    text: str = ""
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    whole: bool = True
    """Whether all of it is shown."""


def preview(head: bytes, size: int) -> Preview:
    """Of something of `size` bytes that begins with `head`: at most LOOK bytes, all where it is smaller."""
    if size == 0:
        return Preview("empty", 0)
    if is_picture(head) and size <= _MOST_SHOWN:
        return Preview("picture", size)
    text = _text(head, size)
    if text is None:
        return Preview("binary", size, _hexadecimal(head[:_HEX]), whole=size <= _HEX)
    return _table(head, size) or _lines(text, size)


def is_picture(head: bytes) -> bool:
    """Whether a browser shows it, perhaps after it was made a PNG."""
    return bool(media_type(head)) or (head.startswith(_LOOKS_LIKE_A_PICTURE) and _binary_or_pnm(head))


def _binary_or_pnm(head: bytes) -> bool:
    return b"\0" in head[:64] or (head[:1] == b"P" and head[2:3].isspace() and head[3:4].isdigit())


def _text(head: bytes, size: int) -> str | None:
    """The whole characters of UTF-8; None where it is something else."""
    for cut in range(4 if len(head) < size else 1):
        try:
            text = head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        printable = all(character.isprintable() or character in "\t\n\r\f\x1b" for character in text[:2000])
        return text if printable else None
    return None


def _table(head: bytes, size: int) -> Preview | None:
    """As a table, where the first line has separators and the rows are alike."""
    first = head.split(b"\n", 1)[0]
    if not any(separator in first for separator in (b"\t", b",", b";")) or first.lstrip()[:1] in (b"{", b"["):
        return None
    try:
        found = read(head, whole=len(head) >= size)
    except CannotPlot:
        return None
    if not 1 < len(found.columns) <= 200 or not found.rows or not (b"\t" in first or _alike(head, found)):
        return None
    named = found.columns != [str(number) for number in range(1, len(found.columns) + 1)]
    columns = [_short(name) for name in found.columns[:_COLUMNS]] if named else []
    rows = [[_short(cell) for cell in row[:_COLUMNS]] for row in found.rows[:_ROWS]]
    whole = len(head) >= size and len(found.rows) <= _ROWS and len(found.columns) <= _COLUMNS
    return Preview("table", size, columns=columns, rows=rows, whole=whole)


def _alike(head: bytes, table: Table) -> bool:
    """Whether the lines have as many separators, and cells hold numbers: prose has commas too."""
    lines = [line for line in head.split(b"\n")[:6] if line.strip()]
    separator = b"," if b"," in lines[0] else b";"
    counts = {line.count(separator) for line in lines[:5]}
    return (len(counts) == 1 or b'"' in head) and any(is_number(cell) for row in table.rows[:5] for cell in row)


def _lines(text: str, size: int) -> Preview:
    lines = text.splitlines()
    shown = "\n".join(_short(line) for line in lines[:_LINES])
    whole = len(lines) <= _LINES and len(text.encode()) >= size and all(len(line) <= _WIDEST for line in lines)
    return Preview("text", size, shown, whole=whole)


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def _hexadecimal(data: bytes) -> str:
    """Sixteen bytes a line: offset, hexadecimal, and what is printable."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        plain = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {plain}")
    return "\n".join(lines)
