"""The source files that a scientist's modules need: found by reading them, nothing is imported."""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from modulefinder import ModuleFinder
from pathlib import Path

from .pickling import NotTravelling, installed_places

NEVER = ("__main__", "dockercomp", "dockercomp_inside", "cloudpickle")
MOST_FILES = 5_000
LARGEST = 64 * 2**20


def module_files(modules: Iterable[str]) -> dict[str, Path]:
    """For the modules of the scientist's own among `modules`, and those that they import: where each belongs in the
    job folder, and its file. Raises NotTravelling for one that is compiled, or where there are too many."""
    roots = {root for name in modules if (root := _root(name)) is not None}
    if not roots:
        return {}
    finder = ModuleFinder(path=[*map(str, roots), *_local_path()], excludes=[*NEVER, *sys.stdlib_module_names])
    for name in sorted(modules):
        if _root(name) is not None:
            finder.import_hook(name)
    found = {}
    for name, module in finder.modules.items():
        file = getattr(module, "__file__", None)
        if file is not None:
            found[_place(name, Path(file))] = Path(file)
    if len(found) > MOST_FILES or sum(path.stat().st_size for path in found.values()) > LARGEST:
        raise NotTravelling(
            f"the function's module needs {len(found)} source files (at most {MOST_FILES} and {LARGEST >> 20} MiB can"
            " travel with it): put it into a module of its own, or the package into the image"
        )
    return found


def _root(name: str) -> Path | None:
    """The folder from which a module of the scientist's own is imported; None for others."""
    top = name.partition(".")[0]
    if top in NEVER or top in sys.stdlib_module_names:
        return None
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    places = [*(spec.submodule_search_locations or []), spec.origin] if spec else []
    if not places or places[0] is None:
        return None
    path = Path(places[0]).resolve()
    return None if any(path.is_relative_to(place) for place in installed_places()) else path.parent


def _local_path() -> list[str]:
    places = installed_places()
    return [
        each
        for each in sys.path
        if Path(each).is_dir() and not any(Path(each).resolve().is_relative_to(place) for place in places)
    ]


def _place(name: str, path: Path) -> str:
    if path.suffix != ".py":
        raise NotTravelling(f"the module {name} is compiled ({path}): it cannot travel, put it into the image")
    parts = [*name.split("."), "__init__"] if path.name == "__init__.py" else name.split(".")
    return "/".join(parts) + ".py"
