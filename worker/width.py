"""How wide a program is told to be: whole CPUs, and the variables by which unmodified programs learn of them. Pure."""

from math import floor

from . import cpu_list
from .tasks import Size

VARIABLES = (
    "DC_WIDTH",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "JULIA_NUM_THREADS",
    "GOMAXPROCS",
    "PYTHON_CPU_COUNT",
    "DOTNET_PROCESSOR_COUNT",
)
"""Read by programs when they start; docs/programs.md says by which, with each one's own documentation."""

_KEPT = ("NUMBA_NUM_THREADS",)
"""Numba reads it again whenever it compiles, and raises RuntimeError where it changed after its threads had started."""


def width_of(size: Size) -> int:
    """Threads or processes that keep the container's CPU busy: its planned width, or where there is none its CPUs, to
    the nearest whole number, a half up; at least 1, at most the CPUs that it is pinned to."""
    width = max(1, floor((size.width or size.cpus) + 0.5))
    pinned = len(cpu_list.parse(size.cpuset))
    return min(width, pinned) if pinned else width


def variables(width: int, *, warm: bool = False) -> dict[str, str]:
    """For a program that starts, or for a process that has been `warm` before, which keeps what it must not change."""
    return {name: str(width) for name in VARIABLES if not (warm and name in _KEPT)}
