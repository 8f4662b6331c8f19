"""Quotas on the command line: what somebody may have at once, and has."""

import re

import click

from .client import Client
from .machine import configuration
from .options import with_client
from .protocol.errors import BadRequest
from .protocol.people import Identity
from .protocol.quotas import QuotaChange, QuotaView
from .terminal import Session

_THINGS = ("jobs", "stored", "chunks", "images")
_LABELS = {"jobs": "jobs that run", "stored": "stored", "chunks": "chunks at one time", "images": "images"}


@click.command()
@click.argument("name", required=False)
@click.option("--jobs", metavar="N", help="Jobs that run.")
@click.option("--stored", metavar="SIZE", help="Uploads and results that are kept, such as 100GiB.")
@click.option("--chunks", metavar="N", help="Chunks that run at one time.")
@click.option("--images", metavar="N", help="Images.")
@click.option("--default", is_flag=True, help="The master's default again, but for what is named.")
@with_client
def quota(session: Session, client: Client, name: str | None, default: bool, **given: str | None) -> None:
    """What somebody may have at once, and has: yourself, or NAME (for admins).

    With options an admin gives NAME a quota of their own; 0 is no bound, and what is not named stays.
    """
    person = name or client.master.call("identity", Identity).name
    wanted = {thing: _amount(thing, value) for thing, value in given.items() if value is not None}
    view = client.master.call("quota", QuotaView, person=person)
    if wanted or default:
        kept = {} if default else {thing: getattr(view.own, thing) for thing in _THINGS}
        view = client.master.call("quota_set", QuotaView, QuotaChange(**(kept | wanted)), person=person)
    session.answer(view, lambda: session.table(("", "USED", "OF"), _rows(view), ""))


def _rows(view: QuotaView) -> list[tuple[str, str, str]]:
    return [
        (
            _LABELS[thing],
            _shown(thing, getattr(view.use, thing)),
            _shown(thing, getattr(view.quota, thing)) or "no bound",
        )
        for thing in _THINGS
    ]


def _shown(thing: str, amount: int) -> str:
    return f"{amount / 2**30:,.2f} GiB" if thing == "stored" and amount else f"{amount:,}" if amount else ""


def _amount(thing: str, value: str) -> int:
    """Raises BadRequest."""
    if thing != "stored":
        if not re.fullmatch(r"[0-9]{1,12}", value):
            raise BadRequest(f"--{thing} {value}: must be a whole number")
        return int(value)
    try:
        return configuration.size(value, "--stored")
    except configuration.ConfigurationError as error:
        raise BadRequest(str(error)) from error


COMMANDS = (quota,)
