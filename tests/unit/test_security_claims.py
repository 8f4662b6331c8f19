"""Whatever SECURITY.md and its pages name as shown by a test is there."""

import ast
import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_PAGES = [_ROOT / "SECURITY.md", *sorted((_ROOT / "docs").glob("security-*.md"))]
_CLAIM = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_LINK = re.compile(r"\]\(([^)#:]+)?(?:#([\w-]+))?\)")


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def anchors(page: Path) -> set[str]:
    """Headings, as they are linked to."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_is_there(page: Path) -> None:
    claims = _CLAIM.findall(page.read_text())
    missing = [
        f"{path}::{name}"
        for path, name in claims
        if not (_ROOT / path).is_file() or (name and name not in functions(_ROOT / path))
    ]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    model = _PAGES[0].read_text().partition("## Threat model")[2].partition("### Whoever writes")[0]
    rows = [line for line in model.splitlines() if line.startswith("| ") and "shown by" not in line]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row] == []


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in _LINK.findall(page.read_text()):
        target = (page.parent / path) if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"
