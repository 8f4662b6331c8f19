"""`bench/run`: measure, print, and write what others read."""

import importlib
import sys
from pathlib import Path

import click

from bench.rows import Row, show, write

NAMES = ("dispatch", "overhead")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.option("--peers", default="none", help="Systems to measure beside us; `none` is all there is so far.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 100), help="How often each is measured.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the rows here (for `all`: a folder).")
def main(name: str, peers: str, runs: int, output: Path | None) -> None:
    """Measure NAME on this machine. Quote medians and ratios: machines are noisy."""
    if peers != "none":
        raise click.UsageError(f"no peers are built yet: --peers none, not {peers}")
    for bench in NAMES if name == "all" else (name,):
        rows: list[Row] = importlib.import_module(f"bench.{bench}").rows(runs)
        show(rows)
        if output is not None:
            write(output / f"{bench}.json" if name == "all" else output, bench, rows)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
