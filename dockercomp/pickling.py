"""How functions and arguments travel towards the containers: by pickle, and modules of the scientist's own as source.

A function that can be imported is pickled as its name; one that cannot (of the main program, a notebook, within another
function) as cloudpickle's bytecode, which only the same minor version of Python can run.
"""

import dis
import io
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle

from .protocol.errors import InvalidJob

PROTOCOL = 4
"""Of pickle: what Python 3.6 can read."""


class NotTravelling(InvalidJob, TypeError):
    """A function or an argument that cannot be sent to another machine."""


@dataclass(frozen=True)
class Pickled:
    """`bound`: only the minor version of Python that wrote it can read it. `modules` are those that it names."""

    data: bytes
    bound: bool
    modules: frozenset[str]


def pickled(value: Any) -> Pickled:
    """Raises NotTravelling."""
    target = io.BytesIO()
    pickler = _Pickler(target)
    try:
        pickler.dump(value)
    except RecursionError as error:
        raise NotTravelling(f"{_name(value)} cannot be sent: it is nested too deeply") from error
    except Exception as error:  # whatever the object's own __reduce__ raises
        raise NotTravelling(f"{_name(value)} cannot be sent to other machines: {error}") from error
    return Pickled(target.getvalue(), pickler.bound, frozenset(pickler.modules))


def pickled_function(function: Callable[..., Any]) -> list[Pickled]:
    """Every way in which it can travel, the best first: by name, then, for a module that cannot be imported there,
    as bytecode. Raises NotTravelling."""
    found = [pickled(function)]
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if found[0].bound or module is None or not is_local(module) or module.__name__ == "__main__":
        return found
    cloudpickle.register_pickle_by_value(module)
    try:
        found.append(pickled(function))
    except NotTravelling:
        pass  # then only by name
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    return found


def is_local(module: ModuleType) -> bool:
    """Whether it is the scientist's own: a file that came neither with Python nor by an installer."""
    file = getattr(module, "__file__", None)
    return bool(file) and not any(Path(str(file)).resolve().is_relative_to(place) for place in installed_places())


@cache
def installed_places() -> frozenset[Path]:
    """Where Python's library and installed packages lie."""
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    found = [*map(sysconfig.get_path, names), *site.getsitepackages(), site.getusersitepackages()]
    return frozenset(Path(each).resolve() for each in found)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Notes which modules are named, and whether bytecode is among it."""

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__(target, protocol=PROTOCOL)
        self.modules: set[str] = set()
        self.bound = False

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)
        if isinstance(value, ModuleType):
            self.modules.add(value.__name__)
        elif isinstance(value, FunctionType | type):
            if reduced is NotImplemented:
                self.modules.add(value.__module__)
            elif value.__module__ != "builtins":  # type(None) and its like are no bytecode
                self.bound = True
                if isinstance(value, FunctionType):
                    self.modules.update(_imported(value.__code__))
        return reduced


def _imported(code: CodeType) -> Iterator[str]:
    """The modules that a function imports when it is called."""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            yield str(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _imported(inner)


def _name(value: Any) -> str:
    name = getattr(value, "__qualname__", "")
    return f"the function {name}" if name else f"a value of type {type(value).__qualname__}"
