"""`bench/run`: measure, print, and write what others read."""

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from bench import curve, scaling
from bench.peers import chosen
from bench.rows import Row, show, write

_JSON = "Write the rows here (for `all`: a folder); scaling writes its curve beside it, as SVG and CSV."

NAMES = ("dispatch", "overhead", "job", "scaling", "trust")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.option("--peers", default="none", help="Systems to measure beside us: none, all, or names with commas between.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 100), help="How often each is measured.")
@click.option("--size", type=click.IntRange(2**10), help="job: bytes of text instead of 512 MiB.")
@click.option("--quick", is_flag=True, help="trust: only its first rows, with few chunks.")
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path),
    help="Write the rows here (for `all`: a folder); scaling also writes its curve beside it, as SVG and CSV.",
)
def main(name: str, peers: str, runs: int, size: int | None, quick: bool, output: Path | None) -> None:
    """Measure NAME on this machine. Quote medians and ratios: machines are noisy."""
    try:
        beside = chosen(peers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for bench in NAMES if name == "all" else (name,):
        options: dict[str, Any] = {"size": size} if bench == "job" and size else {}
        if bench == "trust":
            options["quick"] = quick
        rows: list[Row] = importlib.import_module(f"bench.{bench}").rows(runs, beside, **options)
        show(rows)
        if output is not None:
            path = output / f"{bench}.json" if name == "all" else output
            write(path, bench, rows)
            if bench == "scaling":
                curve.write(path, f"{scaling.CHUNKS} chunks of {scaling.CHUNK_S:g} s", scaling.points(rows))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
