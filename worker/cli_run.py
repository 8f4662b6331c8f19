"""`dockercomp-worker run`: the worker itself, without an end or for a stint."""

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime

import click

from dockercomp.machine.configuration import ConfigurationError

from . import settings
from .settings import Settings
from .stint import PATIENCE_S, BadTime, Stint, parse_until


def read_settings() -> Settings:
    """The settings; says what is wrong and exits with 78 where they cannot be used."""
    try:
        return settings.read()
    except ConfigurationError as error:
        click.echo(f"dockercomp-worker: {error}", err=True)
        sys.exit(78)
    except OSError as error:
        click.echo(f"dockercomp-worker: the configuration cannot be read: {error}", err=True)
        sys.exit(78)


@click.command()
@click.option("--grace", default=10.0, show_default=True, help="Seconds that running chunks get when told to stop.")
@click.option(
    "--until",
    metavar="TIME",
    help="Be gone by 18:00, 2026-11-22T18:00, +2h, or -2m: so long before the end of the Slurm job this runs in.",
)
@click.option("--chunks", type=click.IntRange(min=1), help="Go once so many chunks are computed and delivered.")
@click.option(
    "--patience",
    default=PATIENCE_S,
    show_default=True,
    help="With --until or --chunks: seconds without the master, or Docker, after which to give up (exit code 75).",
)
@click.option("--ephemeral", is_flag=True, help="In a DC_HOME of its own, removed at the end; the master forgets it.")
def run(grace: float, until: str | None, chunks: int | None, patience: float, *, ephemeral: bool) -> None:
    """Run the worker here until SIGTERM or Ctrl-C (a second one does not wait for chunks), or until an end of its own.

    With an end it takes no chunk that would not be done in time, brings every result, and exits with 0. Told to stop,
    running chunks get --grace seconds; what is not done then is given back.
    """
    stint = _stint(until, chunks, patience)
    found = read_settings()
    from . import daemon, ephemerally  # noqa: PLC0415  (the other commands need neither Docker nor the network)

    work: Callable[[Settings], int] = lambda chosen: daemon.run(chosen, grace, stint)  # noqa: E731
    sys.exit(ephemerally.run(found, work) if ephemeral else work(found))


def _stint(until: str | None, chunks: int | None, patience: float) -> Stint:
    now, began = datetime.now().astimezone(), time.monotonic()
    try:
        ends = None if until is None else began + (parse_until(until, now, os.environ) - now).total_seconds()
    except BadTime as error:
        raise click.BadParameter(str(error), param_hint="--until") from error
    return Stint(ends=ends, chunks=chunks, patience=patience, began=began)
