"""Elements of a picture, as text: only presentation attributes, no script and no style sheet, so that it is drawn alike
under the strictest Content-Security-Policy. Fonts are named by generic family: the browser finds the glyphs. Pure.
"""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from xml.sax.saxutils import escape, quoteattr

FONT = "system-ui, 'Noto Sans', 'DejaVu Sans', sans-serif"
TEXT = "#2b2f3a"
FAINT = "#5c6270"
GRID = "#e3e6ee"
AXIS = "#9aa1b0"
COLOURS = (
    "#4453c4", "#d9822b", "#1f9e78", "#b8418f", "#3d9bd1", "#8a6d3b",
    "#c2453d", "#6b7280", "#7d5bd0", "#5f8a1f", "#14808c", "#a35c7a",
)  # fmt: skip
"""Of the series, in order; neighbours differ in lightness too."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Text that may stand in XML: what may not becomes U+FFFD, line ends become spaces."""
    return _NOT_XML.sub("\ufffd", " ".join(text.split()))


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One element; `content` is markup. Numbers get at most two decimals; `_` in names stands for `-`."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_attribute(value))}"
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(words: str, x: float, y: float, **attributes: object) -> str:
    return element("text", escape(clean(words)), x=x, y=y, **attributes)


def rect(x: float, y: float, width: float, height: float, *, told: str = "", **attributes: object) -> str:
    """A rectangle; `told` is shown under the pointer where the picture is opened by itself."""
    content = element("title", escape(clean(told))) if told else ""
    return element("rect", content, x=x, y=y, width=max(0.0, width), height=max(0.0, height), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)


def document(width: float, height: float, title: str, summary: str, body: Iterable[str]) -> str:
    """A whole picture on white."""
    named = escape(clean(title))
    parts = [
        element("title", named) if named else "",
        element("desc", escape(clean(summary))),
        rect(0, 0, width, height, fill="#fff"),
        *body,
    ]
    return element(
        "svg",
        "\n".join(part for part in parts if part),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
        font_family=FONT,
        font_size=13,
        fill=TEXT,
    )


# --- the width of text, without its font ------------------------------------------------------------------------------


def width_of(words: str, size: float = 13) -> float:
    """About how wide `words` are, in pixels: a little more than with common fonts."""
    return size * sum(map(_advance, words))


def shortened(words: str, width: float, size: float = 13) -> str:
    """`words`, cut with … where they are wider than `width`."""
    words = clean(words)
    if width_of(words, size) <= width:
        return words
    kept, taken = "", _advance("…") * size
    for character in words:
        taken += _advance(character) * size
        if taken > width:
            break
        kept += character
    return f"{kept.rstrip()}…"


def wrapped(words: str, width: float, size: float = 13) -> list[str]:
    """`words` on one line or two, cut where that is not enough. Breaks at a space, else anywhere."""
    words = clean(words)
    if width_of(words, size) <= width:
        return [words]
    end, taken = 0, 0.0
    for end, character in enumerate(words):  # noqa: B007  (its last value is what is looked for)
        taken += _advance(character) * size
        if taken > width:
            break
    space = words.rfind(" ", 1, end + 1)
    cut = space if space > end // 2 else max(1, end)
    return [words[:cut].rstrip(), shortened(words[cut:].strip(), width, size)]


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    """The advance of a character in ems."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.02
    if character in " .,:;!'|ijlIt()[]-":
        return 0.36
    return 0.7 if character.isupper() or character in "mwMW@%" else 0.6


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
