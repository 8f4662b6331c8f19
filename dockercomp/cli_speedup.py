"""The command that shows how a job speeds up with the CPUs that it is given."""

import sys
from collections.abc import Iterator
from math import inf
from pathlib import Path

import click

from .client import Client
from .job import OutputError
from .options import with_client
from .protocol.errors import NotFound
from .protocol.speedup_view import in_words, mean_band
from .protocol.views import SpeedupView
from .terminal import Session

_HEADS = ("CPUS", "RUNS", "SECONDS A CHUNK", "CPU SECONDS", "SPEED-UP", "FITTED", "95 % BAND")


@click.command()
@click.argument("job")
@click.option("--stage", default="", help="Of this stage: map, reduce.")
@click.option("--kind", default="", help="Of this kind of machine, in the words that the table gives it.")
@click.option("--csv", is_flag=True, help="What was measured, as CSV.")
@click.option("--svg", metavar="FILE", help="Write the plot; where it is several, that of the first one shown.")
@with_client
def speedup(session: Session, client: Client, job: str, stage: str, kind: str, csv: bool, svg: str | None) -> None:
    """How a job speeds up with its CPUs: what was measured, the law fitted to it, and how sure that is.

    Measured are runs whose CPUs stayed the same from begin to end; each stage and kind of machine by itself.
    """
    made = client.job(job)
    if svg is not None:
        path = Path(svg)
        try:
            path.write_bytes(made.speedup_as("svg", stage=stage, kind=kind))
        except OSError as error:
            raise OutputError(f"the plot cannot be written to {path}: {error.strerror}") from error
        session.answer({"svg": str(path)}, lambda: print(path))
    elif csv and session.json:
        raise click.UsageError("--csv and --json are two forms of one answer; give one of them")
    elif csv:
        sys.stdout.write(made.speedup_as("csv", stage=stage, kind=kind).decode())
    else:
        found = made.speedups(stage=stage, kind=kind)
        session.answer(found, lambda: _print(session, job, found))


def _print(session: Session, job: str, views: list[SpeedupView]) -> None:
    if not views:
        raise NotFound(
            f"no run of job {job} has told of its speed-up yet: each must have had the same CPUs from begin to end"
        )
    for number, view in enumerate(views):
        session.out.print(f"{chr(10) if number else ''}{view.stage} on {view.kind}")
        session.table(_HEADS, _rows(view), "")
        words = in_words(view)
        session.out.print(f"{words[:1].upper()}{words[1:]}.")
        if view.earlier_runs:
            session.out.print(f"{view.earlier_runs:,} of {view.runs:,} runs are those of earlier jobs like it.")


def _rows(view: SpeedupView) -> Iterator[tuple[str, ...]]:
    for point in view.points:
        low, high = mean_band(point)
        sure = f" ± {(high - low) / 2:.2g}" if high < inf else ""
        fitted = ("", "", "")
        if view.law:
            at = view.widths.index(point.width)
            fitted = (
                f"{view.one_s / point.mean:.3g}",
                f"{view.speedup[at]:.3g}",
                f"{view.low[at]:.3g} to {view.high[at]:.3g}",
            )
        yield (
            f"{point.width:g}",
            f"{point.runs:,}",
            f"{point.mean:.3g}{sure}",
            f"{point.cpu_s / point.runs:.3g}",
            *fitted,
        )


COMMANDS = (speedup,)
