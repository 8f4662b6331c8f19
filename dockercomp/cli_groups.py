"""Groups of clients on the command line: who belongs to them, and what they give their members."""

from collections.abc import Iterator
from typing import Any

import click
import msgspec

from . import given
from .client import Client
from .options import with_client
from .protocol.errors import NotFound
from .protocol.views import ClientPage, ClientView, GroupChange, GroupList, GroupRule, GroupView
from .terminal import Session


@click.group()
def group() -> None:
    """Groups of clients: who belongs to them, and what they give their members."""


@group.command("ls")
@with_client
def group_ls(session: Session, master: Client) -> None:
    """List groups, in the order in which clients are tried on them."""
    found = master.master.call("groups", GroupList).groups
    heads = ("GROUP", "ORDER", "MEMBERS", "FOLLOW", "VERIFIED", "WHO", "GIVES")
    rows = (
        (each.name, each.group.order, each.members, each.following, each.verified, _who(each), _gives(each.group))
        for each in found
    )
    session.answer(found, lambda: session.table(heads, rows, "there is no group yet: dockercomp group set NAME …"))


@group.command("show")
@click.argument("name")
@with_client
def group_show(session: Session, master: Client, name: str) -> None:
    """A group, what it gives, and its members."""
    view = master.master.call("group", GroupView, group=name)
    members = [each for page in master.master.pages("group_members", ClientPage, group=name) for each in page.clients]
    heads = ("CLIENT", "NAME", "STATE", "FOLLOWS", "CONTAINERS", "CPUS", "MEMORY")

    def show() -> None:
        session.out.print(f"group {view.name}, version {view.version} by {view.author}: {_who(view)}")
        session.out.print(f"gives {_gives(view.group)}")
        session.table(heads, map(_member, members), "no client belongs to it")

    session.answer(view, show)


@group.command("set")
@click.argument("name")
@given.options
@click.option("--tag", "of_tags", metavar="TAG", multiple=True, help="Members have this tag (again for more; '': any).")
@click.option("--owner", "of_owner", metavar="NAME", help="Members are of this owner.")
@click.option("--named", "of_name", metavar="PATTERN", help="The names of members' machines fit this pattern.")
@click.option("--platform", "of_platform", metavar="NAME", help="Such as linux/amd64.")
@click.option("--least-cpus", "of_least_cpus", metavar="N", help="CPUs that members' machines have at least.")
@click.option("--least-memory", "of_least_memory", metavar="SIZE", help="Memory likewise.")
@click.option("--order", type=click.IntRange(0, 1_000_000), help="Lower comes first, for who fits several. [new: 100]")
@click.option("--share", type=click.FloatRange(0, 1, min_open=True), help="Of each member's ceiling. [new: 1]")
@with_client
def group_set(session: Session, master: Client, name: str, **told: Any) -> None:
    """Make the group NAME, or change it: what is not named stays. Members that follow it have that at once.

    A group without --tag, --owner and so on is everybody's, and newcomers'. --containers fit: as many as fit;
    --cpus share, --memory share: an equal share. --tag '', --owner '' and so on: that does not matter any more.
    """
    try:
        view = master.master.call("group", GroupView, group=name)
        now, version = view.group, view.version
    except NotFound:
        now, version = GroupChange(rule=GroupRule()), 0
    change = given.group_of(now, told)
    headers = {"If-Match": f'"{version}"'}
    view = master.master.call("group_set", GroupView, change, group=name, headers=headers)
    session.answer(view, lambda: print(f"group {view.name}: {view.members} members, {view.following} follow it"))


@group.command("rm")
@click.argument("name")
@with_client
def group_rm(session: Session, master: Client, name: str) -> None:
    """Remove a group: members fall to their next one, or get all that their volunteer allows."""
    view = master.master.call("group_remove", GroupView, group=name)
    session.answer(view, lambda: session.say(f"group {name} is removed; it had {view.members} members"))


def _who(view: GroupView) -> str:
    rule = msgspec.to_builtins(view.group.rule)
    words = [f"{name.replace('_', ' ')} {_word(value)}" for name, value in rule.items() if value]
    return ", ".join(words) or "everybody"


def _word(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def _gives(group: GroupChange) -> str:
    return ", ".join(_gifts(group))


def _gifts(group: GroupChange) -> Iterator[str]:
    yield f"{group.share * 100:g} % of the ceiling"
    yield f"{'as many' if group.containers is None else group.containers} containers"
    yield from [f"{group.cpus:g} CPUs each"] if group.cpus is not None else []
    yield from [f"{group.memory >> 20} MiB each"] if group.memory is not None else []
    yield from [f"jobs {' '.join(group.jobs)}"] if group.jobs else []
    yield from [f"{group.policy}"] if group.policy != "fixed" else []
    yield from ["paused"] if group.paused else []


def _member(view: ClientView) -> tuple[str, ...]:
    given = view.allocation
    follows = "yes" if view.follows else "no"
    size = f"{given.memory >> 20} MiB"
    return view.id, view.name, view.state, follows, str(given.containers), f"{given.cpus:g}", size


COMMANDS = (group,)
