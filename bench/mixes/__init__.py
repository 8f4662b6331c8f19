"""Mixes of programs on one machine, real and simulated: generator, gated runner, CSV, plot. docs/experiments.md."""
