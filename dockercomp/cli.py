"""The command line `dockercomp`: a scientist's jobs. Images, clients and tokens stand in cli_admin."""

import itertools
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import click

from . import cli_endings, inputs, jobfolder, starter
from .cli_admin import COMMANDS
from .client import Client
from .job import Job, OutputError
from .options import json_option, pass_session, with_client
from .progress import counts, display, sending, span
from .protocol.errors import DockercompError
from .protocol.orders import JobSpec
from .protocol.views import ChunkView, InputFile, JobView
from .terminal import EXIT_CODES, FAILED, INTERRUPTED, OK, Session


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dockercomp")
def cli() -> None:
    """Split a computation, run it on lent machines, verify every part, merge the result.

    The master is the one that --url and --token name; else DC_HOST, DC_PORT, DC_SCHEME and DC_API_TOKEN; else the one
    in ~/.config/dockercomp/credentials.json; else the one that runs under DC_HOME.
    """


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("input", nargs=-1)
@click.option("--output", type=click.Path(path_type=Path), help="Wait, then write DIR/result and DIR/job.json.")
@click.option("--watch", is_flag=True, help="Follow the job until it ends.")
@with_client
def submit(
    session: Session, client: Client, folder: Path, input: tuple[str, ...], output: Path | None, watch: bool
) -> int:
    """Submit the job folder FOLDER over the files and folders INPUT."""
    job = jobfolder.load(folder)
    with inputs.collect(job.spec, input) as found:
        _prepare(output)
        with sending(session.err) as told:
            made = client.submit_collected(job, found, tell=session.say, told=told)
    if watch or output:
        session.say(f"job {made.id} is submitted")
        return _follow(session, made, output)
    session.answer(
        made.submitted, lambda: print(f"job {made.id} is submitted; follow it with: dockercomp watch {made.id}")
    )
    return OK


@cli.command()
@click.argument("job")
@click.option("--output", type=click.Path(path_type=Path), help="At the end write DIR/result and DIR/job.json.")
@with_client
def watch(session: Session, client: Client, job: str, output: Path | None) -> int:
    """Follow a job until it ends. Ctrl-C leaves it running."""
    _prepare(output)
    return _follow(session, client.job(job), output)


@cli.command()
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Newest jobs first.")
@with_client
def ls(session: Session, client: Client, limit: int) -> None:
    """List jobs."""
    found = list(itertools.islice(client.jobs(), limit))
    rows = ([job.id, job.name, job.state, "{:,}/{:,}".format(*counts(job)), job.owner, job.created] for job in found)
    heads = ("JOB", "NAME", "STATE", "CHUNKS", "OWNER", "CREATED")
    session.answer(found, lambda: session.table(heads, rows, "there are no jobs yet; make one: dockercomp init NAME"))


@cli.command()
@click.argument("job")
@with_client
def status(session: Session, client: Client, job: str) -> None:
    """Show one job."""
    view = client.job(job).view
    session.answer(view, lambda: session.table(("JOB", view.id), _facts(view), ""))


@cli.command()
@click.argument("job")
@click.option("--all", "every", is_flag=True, help="Also failures of chunks that succeeded when run again.")
@with_client
def logs(session: Session, client: Client, job: str, every: bool) -> None:
    """Show why chunks failed, with the head and tail of their logs."""
    found = [chunk for chunk in client.job(job).chunks(state="" if every else "failed") if _failed(chunk)]
    session.answer(found, lambda: _print_logs(session, client.job(job).view, found, every))


@cli.command()
@click.argument("job")
@click.option("--output", default="-", show_default=True, help="A folder for result and job.json, or - for the output.")
@with_client
def results(session: Session, client: Client, job: str, output: str) -> None:
    """Fetch a job's result, whole or not at all."""
    if output != "-":
        path = client.job(job).save(output)
        session.answer(client.job(job).view, lambda: print(path))
    elif session.json:
        raise click.UsageError("--json needs --output DIR: the result itself is not JSON")
    else:
        for part in client.job(job).parts():
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


@cli.command()
@click.argument("job")
@with_client
def cancel(session: Session, client: Client, job: str) -> None:
    """Stop a job."""
    view = client.job(job).cancel()
    session.answer(view, lambda: print(f"job {view.id} is {view.state}"))


@cli.command()
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


@cli.command()
@click.argument("name", type=click.Path(path_type=Path))
@json_option
@pass_session
def init(session: Session, name: Path) -> None:
    """Make a job folder NAME with a word count that runs."""
    starter.create(name)
    text = f"{name} is ready; try: dockercomp submit {name} {name}/example.txt --watch --output {name}-out"
    session.answer({"folder": str(name)}, lambda: print(text))


def _listed(spec: JobSpec, input: tuple[str, ...]) -> list[InputFile]:
    if not input:
        return []
    with inputs.collect(spec, input) as found:
        return list(itertools.islice(found, 1000))


# --- parts of commands -----------------------------------------------------------------------------------------------


def _prepare(output: Path | None) -> None:
    """Find out that a result could not be written before the work is done."""
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise OutputError(f"--output {output} cannot be written to: {error.strerror}") from error


def _follow(session: Session, job: Job, output: Path | None) -> int:
    shown = display(session.err)
    try:
        for view in job.follow(tell=shown.note):
            shown.show(view)
    except KeyboardInterrupt:
        shown.close()
        again = f"dockercomp watch {job.id}" + (f" --output {output}" if output else "")
        session.say(f"the job goes on; resume with: {again}")
        return INTERRUPTED
    finally:
        shown.close()
    path = job.save(output) if output and view.state == "completed" else None
    session.answer(view, lambda: _print_end(session, view, path))
    return OK if view.state == "completed" else FAILED


def _print_end(session: Session, view: JobView, path: Path | None) -> None:
    if view.state != "completed":
        session.say(f"job {view.id} {'was' if view.state == 'cancelled' else 'has'} {view.state}: {view.error}")
        if view.failures:
            session.say(f"what the failed chunks said: dockercomp logs {view.id}")
        return
    chunks = f"{counts(view)[1]:,} chunks, {view.quorum} equal results each"
    print(f"{view.name} is complete after {_lasted(view)}: {chunks}")
    print(f"result: {view.result_size:,} bytes, SHA-256 {view.result_digest}")
    print(f"written to {path}" if path else f"fetch it with: dockercomp results {view.id} --output DIR")


def _lasted(view: JobView) -> str:
    ended = datetime.fromisoformat(view.ended) if view.ended else datetime.now().astimezone()
    return span((ended - datetime.fromisoformat(view.created)).total_seconds())


def _facts(view: JobView) -> list[tuple[str, str]]:
    facts = [("name", view.name), ("state", view.state), ("owner", view.owner), ("created", view.created)]
    facts += [(stage.name, f"{stage.accepted:,} of {stage.chunks:,} chunks") for stage in view.stages]
    facts += [("image", f"{view.image.name} {view.image.config_digest} {view.image.platform}")]
    facts += [("quorum", f"{view.quorum}"), ("results", f"{view.results_returned:,}, {view.results_wrong:,} outvoted")]
    facts += [("failures", f"{view.failures:,}"), ("ended", view.ended or ""), ("error", view.error)]
    facts += [("waiting", view.waiting)]
    if view.result_size is not None:
        facts.append(("result", f"{view.result_size:,} bytes, SHA-256 {view.result_digest}"))
    return [(name, text) for name, text in facts if text]


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


for command in (*COMMANDS, *cli_endings.COMMANDS):
    cli.add_command(command)


def run(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    session = Session(json="--json" in arguments)  # known before parsing, which may fail
    try:
        code = cli.main(args=arguments, prog_name="dockercomp", standalone_mode=False, obj=session)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        return OK
    except click.ClickException as error:
        usage = f"\n{error.ctx.get_usage()}" if isinstance(error, click.UsageError) and error.ctx else ""
        return session.misused(error.format_message() + usage)
    except (click.Abort, KeyboardInterrupt):
        session.say("interrupted; an upload goes on where it stopped when it is submitted again")
        return INTERRUPTED
    except DockercompError as error:
        return session.fail(error)
    return code if isinstance(code, int) else OK


def main() -> None:
    sys.exit(run())


if __name__ == "__main__":
    main()
