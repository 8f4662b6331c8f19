"""`dockercomp-worker configure`: shows and changes the volunteer's `configuration`."""

import os
import sys

import click
import msgspec

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import default_home

from . import edits, settings
from .keys import BY_NAME, KEYS


@click.command()
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def configure(changes: tuple[str, ...], as_json: bool) -> None:
    """Show each setting with its meaning, or change some: DC_CPUS=1.5 DC_HOURS='sat-sun'; KEY= takes one out.

    A change is checked as a whole, with all that is there, before it is written; a running worker follows within a
    second. Comments and everything else in the file stay.
    """
    try:
        source = settings.find_configuration() or default_home() / "configuration"
        if not changes:
            _show(as_json)
            return
        wanted = dict(_pair(word) for word in changes)
        edits.change(source, wanted)
    except (ConfigurationError, OSError) as error:
        click.echo(f"dockercomp-worker: {error}", err=True)
        sys.exit(78)
    click.echo(f"Saved in {source}.")
    for key in edits.overruled(wanted):
        click.echo(f"{key}: a variable of this name in the environment wins over it, and says {os.environ[key]}.")
    later = [key for key in wanted if not BY_NAME[key].live]
    if later:
        click.echo(f"Followed from the worker's next start on: {', '.join(later)}.")


def _pair(word: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not equals:
        raise ConfigurationError(f"{word}: write KEY=VALUE, or KEY= to take the key out.")
    return key, value


def _show(as_json: bool) -> None:
    """Every key with what is in force; raises ConfigurationError."""
    source = settings.find_configuration()
    values = configuration.read(source)
    shown = {key.name: "(set)" if key.secret and values.get(key.name) else values.get(key.name, "") for key in KEYS}
    if as_json:
        click.echo(msgspec.json.encode(shown).decode())
        return
    click.echo(f"{source or 'There is no configuration file yet; what you set here makes one.'}\n")
    width = max(len(key.name) for key in KEYS)
    for key in KEYS:
        value = shown[key.name] or f"not set; such as {key.example}"
        click.echo(f"{key.name:<{width}}  {value}\n{'':<{width}}  {key.meaning}")
