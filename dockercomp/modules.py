"""The source files that a scientist's modules need: found by reading them, nothing is imported."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, all_suffixes
from importlib.util import find_spec, resolve_name
from pathlib import Path

from .pickling import NotTravelling, installed_places

NEVER = frozenset({"__main__", "dockercomp", "dockercomp_inside", "cloudpickle", *sys.stdlib_module_names})
MOST_FILES = 5_000
LARGEST = 64 * 2**20


def module_files(modules: Iterable[str]) -> dict[str, Path]:
    """For the modules of the scientist's own among `modules`, and those that they import: where each belongs in the
    job folder, and its file. Raises NotTravelling for one that is compiled, or where there are too many."""
    waiting, seen, found = list(modules), set[str](), dict[str, Path]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if "." in name:
            waiting.append(name.rpartition(".")[0])
        located = _located(name)
        if located is None or located.file is None:  # not the scientist's, or no module at all
            continue
        found[_place(name, located.file)] = located.file
        waiting.extend(_imports(name, located.file))
    _check_amount(found)
    return found


@dataclass(frozen=True)
class _Located:
    """A module: its file, which a folder without __init__.py has not, and where its own modules lie."""

    file: Path | None
    places: list[str]


def _located(name: str) -> _Located | None:
    """Where the import system finds a module of the scientist's own; None for any other name."""
    head, _, tail = name.rpartition(".")
    if not head:
        return None if name in NEVER else _of(_top(name))
    parent = _located(head)
    return _below(parent.places, tail) if parent is not None else None


def _below(places: Iterable[str], name: str) -> _Located | None:
    """The module `name` in one of the folders of its package, looked for as Python does."""
    folders = [Path(place, name) for place in places]
    for folder in folders:
        for path in (folder / "__init__.py", *(folder.with_name(name + suffix) for suffix in all_suffixes())):
            if path.is_file():
                return _Located(path, [str(folder)] if path.parent == folder else [])
    bare = [str(folder) for folder in folders if folder.is_dir()]
    return _Located(None, bare) if bare else None


def _of(spec: ModuleSpec | None) -> _Located | None:
    if spec is None:
        return None
    return _Located(Path(spec.origin) if spec.origin else None, list(spec.submodule_search_locations or []))


def _top(name: str) -> ModuleSpec | None:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return None
    places = [*(spec.submodule_search_locations or []), spec.origin] if spec else []
    if not places or places[0] is None or any(map(Path(places[0]).resolve().is_relative_to, installed_places())):
        return None
    return spec


def _imports(name: str, path: Path) -> Iterator[str]:
    """Whatever a source file imports, wherever in it; also names that may be modules or not."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # the container's Python will tell
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                base = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _place(name: str, path: Path) -> str:
    if path.suffix != ".py":
        raise NotTravelling(f"the module {name} is compiled ({path}): it cannot travel, put it into the image")
    parts = [*name.split("."), "__init__"] if path.name == "__init__.py" else name.split(".")
    return "/".join(parts) + ".py"


def _check_amount(found: dict[str, Path]) -> None:
    size = sum(path.stat().st_size for path in found.values())
    if len(found) > MOST_FILES or size > LARGEST:
        raise NotTravelling(
            f"the function's module needs {len(found):,} source files of {size:,} bytes, more than can travel with it"
            f" ({MOST_FILES:,} files, {LARGEST >> 20} MiB): put it into a module of its own, or these into the image"
        )
