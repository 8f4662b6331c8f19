"""What a client is given, on the command line: changed, followed on its way, and looked back at."""

import time
from typing import Any

import click

from . import given
from .client import Client
from .options import with_client
from .protocol.errors import BadRequest, NotFound, PreconditionFailed
from .protocol.messages import Allocation
from .protocol.views import AllocationHistory, ClientView, Progress, TagsChange
from .terminal import FAILED, OK, Session

_LOOK_EVERY_S = 0.5
_SETTLED_S = 3.0
"""After so long in force without a value read back, there is nothing that could be read."""
_TRIES = 5
_PARTS = ("PART", "WANTED", "STATE", "IN FORCE", "")


@click.command()
@click.argument("client", metavar="CLIENT")
@given.options
@click.option("--follow", is_flag=True, help="What its group gives, now and whenever that changes.")
@click.option("--wait", is_flag=True, help="Until it was read back there; shows the way.")
@click.option("--timeout", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds to wait.")
@click.option("--history", is_flag=True, help="What it was given before, by whom, and how far it came.")
@with_client
def allocate(
    session: Session, master: Client, client: str, follow: bool, wait: bool, timeout: float, history: bool, **told: Any
) -> int:
    """What CLIENT (by id or name) is given, and how far it has come; with options, for admins: give it that.

    What is not named stays. Its containers follow while they compute.
    """
    view = _client(master, client)
    asked = any(value is not None and value != () for value in told.values())
    if asked and follow:
        raise BadRequest("--follow takes what the group gives: give it, or values of its own, not both")
    if history and (asked or follow or wait):
        raise BadRequest("--history only shows: give it alone, or leave it out to change what the client is given")
    if history:
        return _history(session, master, view)
    if follow:
        master.master.call("client_follow", Allocation, client=view.id)
    elif asked:
        _give(master, view, told)
    view = _client(master, view.id)
    if wait:
        return _wait(session, master, view, timeout)
    session.answer(view, lambda: _show(session, view))
    return OK


def _give(master: Client, view: ClientView, told: dict[str, Any]) -> Allocation:
    """What was told, upon what the client has: another admin's change of other parts meanwhile stays."""
    for tries_left in reversed(range(_TRIES)):
        version = f'"{view.allocation.version}"'
        change = given.change_of(view.allocation, told)
        try:
            return master.master.call(
                "client_allocate", Allocation, change, client=view.id, headers={"If-Match": version}
            )
        except PreconditionFailed:
            if not tries_left:
                raise
            view = _client(master, view.id)
    raise AssertionError("unreachable")


def _client(master: Client, named: str) -> ClientView:
    """By id, or by a name that only one has. Raises NotFound, BadRequest."""
    try:
        return master.master.call("client", ClientView, client=named, params={"watch": "yes"})
    except NotFound:
        found = [view for view in master.clients() if view.name == named and view.state != "retired"]
    if not found:
        raise NotFound(f"there is no client {named}; dockercomp clients lists them")
    if len(found) > 1:
        raise BadRequest(f"{len(found)} clients are named {named}: {', '.join(view.id for view in found)}")
    return found[0]


def _wait(session: Session, master: Client, view: ClientView, timeout: float) -> int:
    """Show the way until everything was read back. The exit code: FAILED where it was refused, or did not come."""
    version, told, began = view.allocation.version, "", time.monotonic()
    while (ended := _ended(view, version)) is None:
        waits = _waiting(view)
        if (stands := f"{_reached(view).split(',')[0]} {waits}") != told:
            told = stands
            session.say(f"{_reached(view)}{'; ' * bool(waits)}{waits}")
        if time.monotonic() - began > timeout:
            ended = f"not in force after {timeout:g} s: {_waiting(view) or view.status or _reached(view)}"
            break
        time.sleep(_LOOK_EVERY_S)
        view = _client(master, view.id)
    session.answer(view, lambda: _show(session, view))
    if ended:
        session.say(f"dockercomp: {ended}")
    return FAILED if ended else OK


def _ended(view: ClientView, version: int) -> str | None:
    """Why it came no further, empty where it came all the way; None while it is on its way."""
    progress = _progress(view)
    if progress.version != version:
        return f"changed again meanwhile, by {progress.author}"
    refused = [f"{part.part}: {part.why or part.actual}" for part in progress.parts if part.state == "failed"]
    if refused:
        return f"refused there: {'; '.join(refused)}"
    if progress.verified_s_ago is not None:
        return ""
    if progress.applied_s_ago is not None and (not view.containers or progress.applied_s_ago >= _SETTLED_S):
        return ""
    if view.state != "alive":
        return f"{view.name} is {view.state}: it gets this when it is back"
    return None


def _reached(view: ClientView) -> str:
    progress = _progress(view)
    steps = {
        "verified: read back there": progress.verified_s_ago,
        "applied": progress.applied_s_ago,
        "received": progress.received_s_ago,
        "sent": progress.sent_s_ago,
    }
    for step, ago in steps.items():
        if ago is not None:
            return f"{step}, {max(0.0, progress.wanted_s_ago - ago):.1f} s after it was wanted"
    return f"wanted by {progress.author}: it goes with the next sync"


def _waiting(view: ClientView) -> str:
    """The parts that wait, and for what; empty where none does."""
    return "; ".join(
        f"{part.part}: {part.why or part.state}" for part in _progress(view).parts if part.state == "waiting"
    )


def _progress(view: ClientView) -> Progress:
    if view.progress is None:
        raise BadRequest("this master does not tell how far a change has come: it is older than this command line")
    return view.progress


def _show(session: Session, view: ClientView) -> None:
    progress = _progress(view)
    belongs = f"{'follows' if view.follows else 'belongs to'} group {view.group}" if view.group else "of no group"
    session.out.print(
        f"{view.name} ({view.id}), {view.state}, {belongs}; version {progress.version} by {progress.author}"
    )
    rows = [(part.part, part.wanted, part.state, part.actual, part.why) for part in progress.parts]
    session.table(_PARTS, rows, "")
    session.out.print(_reached(view))
    if progress.drifted:
        session.out.print(f"last drift: {progress.drifted}")
    for problem in view.problems:
        session.out.print(f"problem there: {problem}")


def _history(session: Session, master: Client, view: ClientView) -> int:
    found = master.master.call("client_history", AllocationHistory, client=view.id)
    heads = ("VERSION", "AT", "BY", "CONTAINERS", "CPUS", "MEMORY", "", "CAME TO")
    rows = (
        (
            each.allocation.version,
            each.at,
            each.author,
            each.allocation.containers,
            f"{each.allocation.cpus:g}",
            f"{each.allocation.memory >> 20} MiB",
            "paused" if each.allocation.paused else "",
            next((step for step in ("verified", "applied", "received", "sent") if getattr(each, step)), "not sent"),
        )
        for each in found.records
    )
    session.answer(found, lambda: session.table(heads, rows, "nothing was recorded yet"))
    return OK


@click.command()
@click.argument("client", metavar="CLIENT")
@click.argument("tags", metavar="[TAG]…", nargs=-1)
@click.option("--none", is_flag=True, help="Take all tags away.")
@with_client
def tag(session: Session, master: Client, client: str, tags: tuple[str, ...], none: bool) -> None:
    """Give CLIENT these tags and no others, and with them its group; without a TAG, show them."""
    if tags and none:
        raise BadRequest("--none takes all tags away: give it, or the tags that the client shall have, not both")
    view = _client(master, client)
    if tags or none:
        view = master.master.call("client_tags", ClientView, TagsChange(tags=list(tags)), client=view.id)
    group = f"group {view.group}" if view.group else "no group"
    session.answer(view, lambda: print(f"{view.name} ({view.id}): {' '.join(view.tags) or 'no tags'}; {group}"))


COMMANDS = (allocate, tag)
