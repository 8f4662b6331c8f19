"""`bench/run`: measure, print, and write what others read."""

import importlib
import sys
from pathlib import Path
from typing import Any

import click

from bench.peers import chosen
from bench.rows import Measured, Row, show, write

OPTIONS: dict[str, tuple[str, ...]] = {
    "dispatch": (),
    "overhead": (),
    "job": ("size",),
    "scaling": (),
    "trust": ("quick",),
    "control": ("clients", "quick"),
    "change": (),
    "foreground": ("quick",),
    "daemon": ("quick",),
    "mix": ("k", "seed", "quick"),
}
"""The benchmarks, each a module with `rows(runs, peers, **options)`, and the options of its own."""
NAMES = tuple(OPTIONS)


class _Numbers(click.ParamType[tuple[int, ...]]):
    name = "N,N…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = str(value).split(",")
        if not all(word.strip().isdigit() and int(word) > 0 for word in words):
            self.fail(f"{value!r} is not numbers above zero with commas between, such as 2,4,8", param, ctx)
        return tuple(int(word) for word in words)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice([*NAMES, "all"]))
@click.option("--peers", default="none", help="Systems to measure beside us: none, all, or names with commas between.")
@click.option("--runs", default=3, show_default=True, type=click.IntRange(1, 100), help="How often each is measured.")
@click.option("--size", type=click.IntRange(2**10), help="job: bytes of text instead of 512 MiB.")
@click.option("--clients", type=_Numbers(), help="control: simulated clients beside the real one, instead of 20,1000.")
@click.option("--k", type=_Numbers(), help="mix: programs in flight, instead of 2,4,8,16.")
@click.option("--seed", type=click.IntRange(0), help="mix: another mix of programs.")
@click.option("--quick", is_flag=True, help="trust, control, foreground, mix, daemon: small, to see that it works.")
@click.option(
    "--json",
    "output",
    type=click.Path(path_type=Path),
    help="Write the rows here (for `all`: a folder); scaling and mix also write curves beside it, as SVG and CSV.",
)
def main(name: str, peers: str, runs: int, output: Path | None, **options: Any) -> None:
    """Measure NAME on this machine. Quote medians and ratios: machines are noisy."""
    try:
        beside = chosen(peers)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    for bench in NAMES if name == "all" else (name,):
        module = importlib.import_module(f"bench.{bench}")
        given = {option: options[option] for option in OPTIONS[bench] if options[option]}
        found: Measured | list[Row] = module.rows(runs, beside, **given)
        measured = found if isinstance(found, Measured) else Measured(found)
        show(measured.rows)
        if output is not None:
            path = output / f"{bench}.json" if name == "all" else output
            write(path, bench, measured.rows, measured.files)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
