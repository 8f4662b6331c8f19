"""`dockercomp-worker`: what a volunteer does with the worker on this machine."""

import os
import signal
import sys
import time

import click
import msgspec

import dockercomp

from . import describe, durations, logs, status
from .cli_configure import configure
from .cli_page import page
from .cli_run import read_settings, run
from .running import running_pid
from .volunteer import Control, read_control, write_control

_EXITS = """
\b
Exit codes:
  0   done; for `run`: stopped as asked
  1   failed, or the check found something
  2   wrong usage
  75  `run` with an end: the master, or Docker, did not answer for so long that it gave up
  76  this worker is of another version than its master
  77  the master does not accept this worker's credentials
  78  the configuration or the enrolment token cannot be used
"""


@click.group(epilog=_EXITS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(dockercomp.__version__, prog_name="dockercomp-worker")
def main() -> None:
    """Lends this machine's idle time to science, within the limits you set.

    Settings come from the file `configuration` in DC_HOME (or $DC_CONFIGURATION, or here); variables of the
    environment win over it. DC_CONTAINERS, DC_CPUS and DC_MEMORY are your ceiling: nobody can take more.
    """


main.add_command(run)


@main.command("status")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status_command(as_json: bool) -> None:
    """What the worker is doing, and why it is idle. Exit code 1 where none runs."""
    home = read_settings().home
    found, pid = status.read(home) or status.Status(state="never started"), running_pid(home)
    if pid is None and found.state != "never started":
        sentence = found.sentence if found.state == "stopped" else "The worker is gone without a word; see its log."
        found = msgspec.structs.replace(found, state="stopped", sentence=sentence, containers=[], pid=0)
    click.echo(msgspec.json.encode(found).decode() if as_json else describe.status(found, time.time()))
    sys.exit(0 if pid is not None else 1)


@main.command()
@click.argument("duration", required=False)
def pause(duration: str | None) -> None:
    """Freeze the containers, for DURATION (such as 30m, 2h, 1d) or until `resume`."""
    seconds = None if duration is None else parse_duration(duration)
    until = None if seconds is None else time.time() + seconds
    write_control(read_settings().home, Control(paused=True, until=until))
    click.echo(
        "Paused." if until is None else f"Paused until {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}."
    )


@main.command()
def resume() -> None:
    """Go on after `pause`."""
    home = read_settings().home
    was = read_control(home).pauses(time.time())
    write_control(home, Control())
    click.echo("Going on." if was else "It was not paused.")


_GIVEN = ("allocation", "applied", "problems", "containers")
_LIMITS = ("ceiling", "disk_used", "network_used", "rules", "consent", *_GIVEN)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def limits(as_json: bool) -> None:
    """Your ceiling, what the admin allocated, and what the containers' cgroups say."""
    found = status.read(read_settings().home)
    if found is None or found.ceiling is None:
        click.echo("The worker has not run here yet; `dockercomp-worker run` starts it.", err=True)
        sys.exit(1)
    if as_json:
        chosen = {key: getattr(found, key) for key in _LIMITS}
        click.echo(msgspec.json.encode(chosen).decode())
    else:
        click.echo(describe.limits(found))


@main.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as it grows.")
@click.option("-n", "--lines", default=50, show_default=True, help="So many of the last lines.")
def log(follow: bool, lines: int) -> None:
    """The worker's log (DC_HOME/log/worker.log)."""
    path = logs.path(read_settings().home)
    if not path.exists():
        click.echo(f"There is no log yet at {path}.", err=True)
        sys.exit(1)
    os.execvp("tail", ["tail", "-n", str(lines), *(["-F"] if follow else []), str(path)])  # noqa: S606


@main.command()
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait for its end.")
def stop(timeout: float) -> None:
    """Stop the worker: running chunks may end, the rest goes back, containers are removed."""
    home = read_settings().home
    pid = running_pid(home)
    if pid is None:
        click.echo("No worker runs here.")
        return
    os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + timeout
    while running_pid(home) == pid:
        if time.monotonic() > ends:
            click.echo(
                f"The worker (process {pid}) still runs after {timeout:g} s; see `dockercomp-worker log`.", err=True
            )
            sys.exit(1)
        time.sleep(0.1)
    click.echo("Stopped.")


@main.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def doctor(as_json: bool) -> None:
    """Check engine, limits, disk, clock, connection and credentials, and say what to do. Exit code 1 on a failure."""
    found = read_settings()
    from . import doctor as checks  # noqa: PLC0415

    results = checks.examine(found)
    click.echo(msgspec.json.encode(results).decode() if as_json else describe.checks(results))
    sys.exit(1 if any(check.result == "FAIL" for check in results) else 0)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def uninstall(arguments: tuple[str, ...]) -> None:
    """Take everything of dockerComp back from this machine (--yes, --dry-run, --packages)."""
    home = read_settings().home
    program = home / "uninstall"
    if not program.exists():
        click.echo(
            f"There is no {program}: this worker was not installed by installer.sh. From a clone, run ./cleanup.",
            err=True,
        )
        sys.exit(1)
    os.execv(program, [str(program), *arguments])  # noqa: S606  (this very Python is about to be removed)


main.add_command(configure)
main.add_command(page)


def parse_duration(text: str) -> float:
    """Seconds of `90`, `90s`, `30m`, `2h` or `1d`; a wrong one is wrong usage."""
    try:
        return durations.parse_duration(text)
    except durations.BadDuration as error:
        raise click.BadParameter(str(error), param_hint="DURATION") from error


if __name__ == "__main__":
    main()
