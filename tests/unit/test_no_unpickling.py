"""Bytes of others never run: who loads pickles, or code from bytes, is in a list here, with the reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
_MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "marshal", "shelve", "yaml", "joblib", "jsonpickle", "copyreg"}
_CALLS = {"eval", "exec", "compile", "__import__"}

ALLOWED = {
    ("dockercomp/pickling.py", "cloudpickle"): "writes the scientist's own functions and arguments; loads nothing",
    ("dockercomp/calls.py", "cloudpickle"): "finds its own folder, to send it along; loads nothing",
    ("dockercomp/inside/calls.py", "pickle"): "loads, in the container, what the scientist sent there",
    ("worker/inside/dockercomp_pool.py", "pickle"): "in the container, between a program and what it forked itself",
}


def uses(code: str) -> Iterator[str]:
    """The modules and functions by which bytes could become code."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "import_module":
            names = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        yield from (name.partition(".")[0] for name in names if name.partition(".")[0] in _MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            yield node.func.id


def test_what_loads_pickles_or_code_is_listed_with_its_reason() -> None:
    files = [file for package in ("dockercomp", "server", "worker") for file in (_ROOT / package).rglob("*.py")]
    assert len(files) > 200
    found = {(str(file.relative_to(_ROOT)), use) for file in files for use in uses(file.read_text())}
    assert found == set(ALLOWED)


def test_neither_the_master_nor_the_worker_is_in_the_list() -> None:
    """What travels into containers is neither: no byte of it runs on a volunteer's machine outside of one."""
    daemons = [file for file, _ in ALLOWED if file.startswith(("server/", "worker/"))]
    assert not [file for file in daemons if not file.startswith("worker/inside/")]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml as y",
        "eval('1')",
        "importlib.import_module('marshal')",
    ],
)
def test_it_would_be_found(code: str) -> None:
    assert list(uses(code))
