"""Commands before a job runs: init, validate, submit."""

import itertools
import tempfile
from dataclasses import replace
from pathlib import Path

import click
import msgspec

from . import inputs, jobfolder, starter, submission
from .client import Client
from .following import follow, prepare
from .inputs import Collected
from .jobfolder import JobFolder
from .options import json_option, pass_session, with_client
from .progress import reading, sending, span
from .protocol.job_rules import check_spec
from .protocol.orders import JobSpec
from .protocol.views import Forecast, InputFile
from .terminal import OK, Session


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("input", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), help="Wait, then write DIR/result and DIR/job.json.")
@click.option("--watch", is_flag=True, help="Follow the job until it ends.")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what the job would be if it were submitted now.")
@click.option("--no-reuse", is_flag=True, help="Compute again what an earlier job has computed already.")
@click.option("--name", help="Another name than the job file's.")
@click.option("--priority", type=int, help="Among your jobs: -100 to 100, higher first.")
@click.option(
    "--notify", multiple=True, metavar="URL", help="Told when the job ends: https://… or mailto:… (also twice)."
)
@with_client
def submit(
    session: Session,
    client: Client,
    folder: Path,
    input: tuple[str, ...],
    output: Path | None,
    watch: bool,
    dry_run: bool,
    no_reuse: bool,
    name: str | None,
    priority: int | None,
    notify: tuple[str, ...],
) -> int:
    """Submit the job folder FOLDER over INPUT: files, folders, patterns, archives, URLs, job:ID for a job's result."""
    wanted = {"reuse": False if no_reuse else None, "name": name, "priority": priority, "notify": list(notify) or None}
    job = _changed(jobfolder.load(folder), {key: value for key, value in wanted.items() if value is not None})
    with reading(session.err):
        collected = inputs.collect(job.spec, input)
    with collected as found:
        if dry_run:
            return _foretell(session, client, job, found)
        prepare(output)
        session.say("note: volunteers can read the program and the data that they compute on")
        with sending(session.err) as told:
            made = client.submit_collected(job, found, tell=session.say, told=told)
    if made.submitted and made.submitted.wants:
        session.say(f"note: {made.submitted.wants}")
    if watch or output:
        session.say(f"job {made.id} is submitted")
        return follow(session, made, output)
    session.answer(
        made.submitted, lambda: print(f"job {made.id} is submitted; follow it with: dockercomp watch {made.id}")
    )
    return OK


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("input", nargs=-1)
@json_option
@pass_session
def validate(session: Session, folder: Path, input: tuple[str, ...]) -> None:
    """Check a job folder (and INPUT) without sending anything."""
    job = jobfolder.load(folder)
    with tempfile.TemporaryFile() as tar:
        packed = jobfolder.pack(job.path, tar)
    answer = {"spec": job.spec, "program": packed.digest, "inputs": _listed(job.spec, input)}
    stages = "map and reduce" if job.spec.reduce else "map"
    text = f"{job.spec.name}: {stages} over {job.spec.input.split}, {packed.size:,} bytes of program; all is well"
    session.answer(answer, lambda: print(text))


@click.command()
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--template", type=click.Choice(starter.TEMPLATES), default="mapreduce", show_default=True)
@json_option
@pass_session
def init(session: Session, name: Path, template: str) -> None:
    """Make a job folder NAME that runs as it is, to be changed into your own."""
    example = starter.create(name, template)
    text = f"{name} is ready; try: dockercomp submit {name} {example} --watch --output {name}-out"
    session.answer({"folder": str(name)}, lambda: print(text))


def _changed(job: JobFolder, changes: dict[str, object]) -> JobFolder:
    """The job with what options say instead of the job file. Raises InvalidJob."""
    spec = msgspec.structs.replace(job.spec, **changes)
    check_spec(spec)
    return replace(job, file=replace(job.file, spec=spec))


def _listed(spec: JobSpec, input: tuple[str, ...]) -> list[InputFile]:
    if not input:
        return []
    with inputs.collect(spec, input) as found:
        return list(itertools.islice(found, 1000))


def _foretell(session: Session, client: Client, job: JobFolder, found: Collected) -> int:
    forecast = submission.forecast(client.master, job, found)
    _, unsent = found.ask(client.master.missing)
    facts = _forecast_facts(forecast, found, unsent)
    session.answer(forecast, lambda: session.table((job.spec.name, "nothing was sent"), facts, ""))
    return OK


def _forecast_facts(forecast: Forecast, found: Collected, unsent: int) -> list[tuple[str, str]]:
    facts = [(stage.name, f"{stage.chunks:,} chunks") for stage in forecast.stages]
    if len(found):
        facts.append(
            ("inputs", f"{len(found):,} files, {found.size:,} bytes, of which {unsent:,} are still to be sent")
        )
    if forecast.reused:
        facts.append(("reused", f"{forecast.reused:,} chunks are computed already"))
    facts.append(("clients", f"{forecast.clients:,} could run it now, with {forecast.containers:,} containers"))
    if forecast.seconds_low is not None and forecast.seconds_high is not None:
        facts.append(("takes", f"about {span(forecast.seconds_low)} to {span(forecast.seconds_high)}"))
    else:
        facts.append(("takes", "unknown: no job of this name has told yet how long a chunk runs"))
    if forecast.wants:
        facts.append(("wants", forecast.wants))
    if forecast.waiting:
        facts.append(("waits", forecast.waiting))
    return facts


COMMANDS = (submit, validate, init)
