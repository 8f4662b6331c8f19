"""Commands for jobs that do not go well: why, again, away."""

import click

from .client import Client
from .options import with_client
from .protocol.views import Explanation
from .terminal import Session


@click.command()
@click.argument("job")
@with_client
def retry(session: Session, client: Client, job: str) -> None:
    """Run again what failed or was cancelled of a job, and only that."""
    view = client.job(job).retry()
    session.answer(view, lambda: print(f"job {view.id} runs again; follow it with: dockercomp watch {view.id}"))


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...")
@with_client
def rm(session: Session, client: Client, jobs: tuple[str, ...]) -> None:
    """Remove ended jobs, with their results and the inputs that no other job uses."""
    for job in jobs:
        client.job(job).remove()
        session.say(f"job {job} is removed")
    session.answer({"removed": list(jobs)}, lambda: None)


@click.command()
@click.argument("subject")
@with_client
def explain(session: Session, client: Client, subject: str) -> None:
    """Say why a job, a chunk (JOB.STAGE.INDEX) or a client (id or name) is as it is."""
    found = client.master.call("explain", Explanation, subject=subject)
    session.answer(found, lambda: _print(session, found))


def _print(session: Session, found: Explanation) -> None:
    session.out.print(f"{found.subject}: {found.sentence}")
    for fact in found.facts:
        session.out.print(f"  {fact}")


COMMANDS = (retry, explain, rm)
