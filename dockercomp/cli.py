"""The command line `dockercomp`: its commands stand in the modules cli_*."""

import sys

import click

from . import (
    cli_admin,
    cli_allocate,
    cli_endings,
    cli_groups,
    cli_include,
    cli_jobs,
    cli_keys,
    cli_people,
    cli_quota,
    cli_results,
    cli_speedup,
    cli_submit,
    cli_verify,
)
from .protocol.errors import DockercompError
from .terminal import EXIT_CODES, INTERRUPTED, OK, Session


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dockercomp")
def cli() -> None:
    """Split a computation, run it on lent machines, verify every part, merge the result.

    The master is the one that --url and --token name; else DC_HOST, DC_PORT, DC_SCHEME and DC_API_TOKEN; else the one
    in ~/.config/dockercomp/credentials.json; else the one that runs under DC_HOME.
    """


_THEMES = (
    cli_submit,
    cli_include,
    cli_jobs,
    cli_results,
    cli_speedup,
    cli_endings,
    cli_keys,
    cli_verify,
    cli_people,
    cli_quota,
    cli_admin,
    cli_allocate,
    cli_groups,
)

for theme in _THEMES:
    for command in theme.COMMANDS:
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
