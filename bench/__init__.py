"""Benchmarks on real parts, and against other systems. `bench/run --help`."""

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
