"""jobs/pi: any split of the rows gives the same digits, and they are pi's."""

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest

from dockercomp import jobfolder

JOB = Path(__file__).parents[2] / "jobs" / "pi"
RADIUS = 300


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("pi_job", JOB / "pi.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def map_reduce(pi: ModuleType, per_chunk: int) -> str:
    chunks = [range(at, min(at + per_chunk, pi.RADIUS)) for at in range(0, pi.RADIUS, per_chunk)]
    return str(pi.merge(pi.count(chunk).encode() for chunk in chunks))


def test_every_split_counts_the_cells_that_one_plain_loop_counts(
    pi: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pi, "RADIUS", RADIUS)
    inside = sum((u + 0.5) ** 2 + (v + 0.5) ** 2 <= RADIUS**2 for u in range(RADIUS) for v in range(RADIUS))
    for per_chunk in (1, 7, 100, RADIUS):
        assert map_reduce(pi, per_chunk).splitlines()[0] == f"cells {inside}"


def test_the_digits_are_those_of_pi(pi: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pi, "RADIUS", 20_000)
    found = float(map_reduce(pi, 5_000).split()[-1])
    assert abs(found - math.pi) < 1e-5


def test_the_rows_of_the_job_file_are_those_of_the_program(pi: ModuleType) -> None:
    spec = jobfolder.load(JOB).spec
    assert (spec.input.start, spec.input.stop) == (0, pi.RADIUS)
