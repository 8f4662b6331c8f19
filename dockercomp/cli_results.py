"""The command that fetches a job's result."""

import sys

import click

from .client import Client
from .job import Job
from .options import with_client
from .terminal import Session


@click.command()
@click.argument("job")
@click.option("--output", default="-", show_default=True, help="A folder for result and job.json, or - for the output.")
@click.option("--file", metavar="NAME", help="Of a result of several files this one, to the output.")
@click.option("--list", "listing", is_flag=True, help="Names and sizes of the files of a result of several.")
@with_client
def results(session: Session, client: Client, job: str, output: str, file: str | None, listing: bool) -> None:
    """Fetch a job's result, whole or not at all."""
    made = client.job(job)
    if listing:
        found = list(made.files())
        rows = ((f"{each.size:,}", each.name) for each in found)
        session.answer(found, lambda: session.table(("BYTES", "NAME"), rows, "the result has no files"))
    elif output != "-":
        path = made.save(output)
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
    for part in job.parts() if file is None else job.file_parts(file):
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


COMMANDS = (results,)
