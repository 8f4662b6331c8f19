"""The commands that fetch what a job has given, and say where it comes from."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from . import known_masters
from .client import Client
from .job import Job, OutputError
from .options import with_client
from .protocol.errors import NotFound, NotPlottable
from .protocol.views import ChunkView
from .terminal import Session


@click.command()
@click.argument("job")
@click.option("--output", default="-", show_default=True, help="A folder for result and job.json, or - for the output.")
@click.option("--file", metavar="NAME", help="Of a result of several files this one, to the output.")
@click.option("--list", "listing", is_flag=True, help="Names and sizes of the files of a result of several.")
@click.option("--partial", is_flag=True, help="To the output what is accepted so far, without the chunks that are not.")
@click.option("--plots", metavar="DIR", help="Write the declared plots to a folder: plot-1.svg, plot-1.csv …")
@with_client
def results(
    session: Session,
    client: Client,
    job: str,
    output: str,
    file: str | None,
    listing: bool,
    partial: bool,
    plots: str | None,
) -> None:
    """Fetch a job's result, whole or not at all; or, also while it runs, what there is of it."""
    made = client.job(job)
    if plots is not None:
        written = list(_save_plots(session, made, Path(plots)))
        session.answer(written, lambda: print(*written, sep="\n", end="\n" if written else ""))
    elif partial:
        _print(made.partial())
    elif listing:
        found = list(made.files())
        rows = ((f"{each.size:,}", each.name) for each in found)
        session.answer(found, lambda: session.table(("BYTES", "NAME"), rows, "the result has no files"))
    elif output != "-":
        known_masters.follow(client.master)
        path = made.save(output)
        if not (path.parent / "receipt.json").exists():
            session.say(f"its receipt is still being made; later: dockercomp receipt {job} --output FILE")
        session.answer(made.view, lambda: print(path))
    elif session.json:
        raise click.UsageError("--json needs --output DIR or --list: the result itself is not JSON")
    else:
        _write(made, file)


def _write(job: Job, file: str | None) -> None:
    if file is None and (files := job.view.result_files):
        raise click.UsageError(
            f"the result is {files:,} files: take all with --output DIR, or one with --file NAME (--list names them)"
        )
    _print(job.parts() if file is None else job.file_parts(file))


def _print(parts: Iterable[bytes]) -> None:
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


def _save_plots(session: Session, job: Job, folder: Path) -> Iterator[str]:
    """The paths written. A plot that cannot be drawn is said, and the others are."""
    declared = job.view.plots
    if not declared:
        raise NotFound(f"job {job.id} declares no plots: give its job file a [[plots]]")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1, declared + 1):
            for form in ("svg", "csv"):
                path = folder / f"plot-{number}.{form}"
                try:
                    path.write_bytes(job.plot(number, form))
                except NotPlottable as error:
                    session.say(error.detail)
                    break
                except NotFound:
                    continue  # a picture has no points
                yield str(path)
    except OSError as error:
        raise OutputError(f"the plots cannot be written to {folder}: {error.strerror}") from error


@click.command()
@click.argument("job")
@click.option("--stage", default="", help="Of this stage: map, reduce.")
@click.option("--state", type=click.Choice(["open", "accepted", "failed", "cancelled"]), help="In this state.")
@with_client
def chunks(session: Session, client: Client, job: str, stage: str, state: str | None) -> None:
    """Where results come from: each chunk's input, result and replicas."""
    found = list(client.job(job).chunks(stage=stage, state=state or ""))
    rows = ((f"{each.stage} {each.index}", each.state, each.input, *_origin(each)) for each in found)
    header = ("CHUNK", "STATE", "INPUT", "SHA-256", "REPLICAS")
    session.answer(found, lambda: session.table(header, rows, "no such chunk was handed out yet"))


def _origin(chunk: ChunkView) -> tuple[str, str]:
    """The beginning of the digest, and who returned what: = the chosen result."""
    told = [
        f"{each.client} {'=' if each.digest and each.digest == chunk.digest else each.state}" for each in chunk.replicas
    ]
    return (chunk.digest or "")[:12], ", ".join(told) or (f"reused {chunk.reused_from}" if chunk.reused_from else "")


COMMANDS = (results, chunks)
