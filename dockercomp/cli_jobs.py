"""Commands for jobs that are there: ls, watch, status, logs, cancel."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import click

from .client import Client
from .following import follow, prepare
from .options import with_client
from .progress import counts, remaining, span
from .protocol.stated import how_wrong, what_it_cost, what_was_found
from .protocol.views import ChunkView, JobView, RunningChunk
from .terminal import Session
from .trail import Trail

_SHOWN = 20


@click.command()
@click.argument("job")
@click.option("--output", type=click.Path(path_type=Path), help="At the end write DIR/result and DIR/job.json.")
@with_client
def watch(session: Session, client: Client, job: str, output: Path | None) -> int:
    """Follow a job until it ends. Ctrl-C leaves it running."""
    prepare(output)
    return follow(session, client.job(job), output)


@click.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest jobs first.")
@with_client
def ls(session: Session, client: Client, limit: int) -> None:
    """List jobs."""
    found = list(itertools.islice(client.jobs(), limit))
    rows = ([job.id, job.name, job.state, "{:,}/{:,}".format(*counts(job)), job.owner, job.created] for job in found)
    heads = ("JOB", "NAME", "STATE", "CHUNKS", "OWNER", "CREATED")
    session.answer(found, lambda: session.table(heads, rows, "there are no jobs yet; make one: dockercomp init NAME"))


@click.command()
@click.argument("job")
@with_client
def status(session: Session, client: Client, job: str) -> None:
    """Show one job, and what runs of it now."""
    made = client.job(job)
    view = made.view
    running = made.running() if view.state == "running" else []
    facts = [*_facts(view), *_running(running)]
    session.answer(view, lambda: session.table(("JOB", view.id), facts, ""))


@click.command()
@click.argument("job")
@click.option("--all", "every", is_flag=True, help="Also failures of chunks that succeeded when run again.")
@click.option("--follow", "following", is_flag=True, help="What runs now, line by line, until the job ends.")
@with_client
def logs(session: Session, client: Client, job: str, every: bool, following: bool) -> None:
    """Show why chunks failed, with the head and tail of their logs."""
    made = client.job(job)
    if following:
        trail = Trail(made.log_of)
        for _ in made.follow(tell=session.say):
            for line in trail.lines(made.running()):
                session.out.print(line)
    found = [chunk for chunk in made.chunks(state="" if every else "failed") if _failed(chunk)]
    session.answer(found, lambda: _print_logs(session, made.view, found, every))


@click.command()
@click.argument("job")
@with_client
def cancel(session: Session, client: Client, job: str) -> None:
    """Stop a job."""
    view = client.job(job).cancel()
    session.answer(view, lambda: print(f"job {view.id} is {view.state}"))


def _facts(view: JobView) -> list[tuple[str, str]]:
    facts = [("name", view.name), ("state", view.state), ("owner", view.owner), ("created", view.created)]
    facts += [(stage.name, f"{stage.accepted:,} of {stage.chunks:,} chunks") for stage in view.stages]
    facts += (
        [("image", f"{view.image.name} {view.image.config_digest} {view.image.platform}")] if view.image.name else []
    )
    facts += [("quorum", f"{view.quorum}"), ("results", f"{view.results_returned:,}, {view.results_wrong:,} outvoted")]
    facts += [("reused", f"{view.reused:,} chunks" * bool(view.reused)), ("priority", f"{view.priority or ''}")]
    facts += [("failures", f"{view.failures:,}"), ("remaining", remaining(view)), ("ended", view.ended or "")]
    facts += [("error", view.error), ("waiting", view.waiting)]
    facts += [("missing", name) for name in view.missing]
    if view.missing_count > len(view.missing):
        facts.append(("missing", f"and {view.missing_count - len(view.missing):,} more"))
    if view.result_size is not None:
        files = f"{view.result_files:,} files, " if view.result_files else ""
        facts.append(("result", f"{files}{view.result_size:,} bytes, SHA-256 {view.result_digest}"))
    return [(name, text) for name, text in [*facts, *_trust(view)] if text]


def _trust(view: JobView) -> list[tuple[str, str]]:
    """How wrong its result may be, and what became of an earlier one."""
    facts = [
        ("edition", f"{view.edition}" * (view.edition > 1)),
        ("withdrawn", view.withdrawn),
        ("warning", view.warning),
    ]
    if view.trust is not None:
        facts += [("trust", how_wrong(view.trust)), ("checking", what_it_cost(view.trust))]
        facts += [("found", what_was_found(view.trust))]
    return facts


def _running(chunks: Iterable[RunningChunk]) -> list[tuple[str, str]]:
    """The chunks that have run longest."""
    found = sorted(chunks, key=lambda chunk: -chunk.seconds)[:_SHOWN]
    return [("running", _at_work(chunk)) for chunk in found]


def _at_work(chunk: RunningChunk) -> str:
    parts = [f"{chunk.stage} {chunk.index} on {chunk.client} for {span(chunk.seconds)}"]
    parts += [f"{chunk.progress:.0%}"] if chunk.progress is not None else []
    parts += [chunk.message] if chunk.message else []
    return ", ".join(parts)


def _failed(chunk: ChunkView) -> bool:
    return any(replica.failure for replica in chunk.replicas)


def _print_logs(session: Session, view: JobView, found: list[ChunkView], every: bool) -> None:
    if not found:
        more = "" if every or not view.failures else f"; of those run again: dockercomp logs {view.id} --all"
        session.say(f"no chunk of job {view.id} has failed{more}")
    for chunk in found:
        for replica in (replica for replica in chunk.replicas if replica.failure):
            print(f"{chunk.stage} {chunk.index} on {replica.client}: {replica.failure}")
            for text in filter(None, (replica.log_head, "…" if replica.log_tail else "", replica.log_tail)):
                print("\n".join(f"    {line}" for line in text.splitlines()))


COMMANDS = (watch, ls, status, logs, cancel)
