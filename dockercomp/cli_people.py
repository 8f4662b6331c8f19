"""People, tokens and the audit log on the command line."""

from typing import get_args

import click

from .client import Client
from .options import with_client
from .protocol.people import (
    ApiTokenAnswer,
    ApiTokenList,
    ApiTokenRequest,
    ApiTokenView,
    AuditEntry,
    AuditPage,
    EnrolmentTokenList,
    EnrolmentTokenView,
    Identity,
    PasswordLink,
    PersonList,
    PersonRequest,
    PersonView,
    Revoked,
    Role,
    RoleChange,
    Scope,
)
from .protocol.views import ClientView, Forgiveness
from .terminal import Session

_ROLE = click.Choice(get_args(Role))
_SCOPE = click.Choice(get_args(Scope))


@click.command()
@with_client
def whoami(session: Session, client: Client) -> None:
    """Whose token this is, and what it may do."""
    me = client.master.call("identity", Identity)
    own = ", own jobs only" if me.own else ""
    session.answer(me, lambda: print(f"{me.name} ({me.role}), scope {me.scope}{own}, until {me.expires}"))


# --- people ----------------------------------------------------------------------------------------------------------


@click.group()
def people() -> None:
    """Everybody with an account (for admins)."""


@people.command("ls")
@with_client
def people_ls(session: Session, client: Client) -> None:
    """List people and their roles."""
    found = client.master.call("people", PersonList).people
    rows = ((each.name, each.role, each.created, "" if each.has_password else "no password yet") for each in found)
    session.answer(found, lambda: session.table(("NAME", "ROLE", "SINCE", ""), rows, "there is nobody"))


@people.command("add")
@click.argument("name")
@click.option("--role", type=_ROLE, default="scientist", show_default=True)
@with_client
def people_add(session: Session, client: Client, name: str, role: Role) -> None:
    """Add a person; prints the link by which they choose a password."""
    _say_link(session, client.master.call("person_add", PasswordLink, PersonRequest(name=name, role=role)))


@people.command("role")
@click.argument("name")
@click.argument("role", type=_ROLE)
@with_client
def people_role(session: Session, client: Client, name: str, role: Role) -> None:
    """Give a person another role, at once."""
    view = client.master.call("person_role", PersonView, RoleChange(role=role), person=name)
    session.answer(view, lambda: session.say(f"{view.name} is now {view.role}"))


@people.command("rm")
@click.argument("name")
@with_client
def people_rm(session: Session, client: Client, name: str) -> None:
    """Remove a person: sessions and tokens end at once, jobs stay."""
    view = client.master.call("person_remove", PersonView, person=name)
    session.answer(view, lambda: session.say(f"{view.name} is removed; jobs stay"))


@people.command("link")
@click.argument("name")
@with_client
def people_link(session: Session, client: Client, name: str) -> None:
    """Print a one-time link by which a person chooses a new password."""
    _say_link(session, client.master.call("person_link", PasswordLink, person=name))


@people.command("logout")
@click.argument("name")
@with_client
def people_logout(session: Session, client: Client, name: str) -> None:
    """End all sessions of a person; tokens stay."""
    view = client.master.call("person_logout", PersonView, person=name)
    session.answer(view, lambda: session.say(f"{view.name} is logged out everywhere"))


def _say_link(session: Session, found: PasswordLink) -> None:
    session.answer(found, lambda: print(found.link))
    session.say(f"{found.name} chooses a password by it, once, within {found.valid_days} days; send it to nobody else")


# --- API tokens ------------------------------------------------------------------------------------------------------


@click.group()
def tokens() -> None:
    """API tokens, by which programs act for you."""


@tokens.command("ls")
@click.option("--all", "everybody", is_flag=True, help="Everybody's (for admins).")
@with_client
def tokens_ls(session: Session, client: Client, everybody: bool) -> None:
    """List the tokens that are good now."""
    params = {"all": "yes"} if everybody else {}
    found = client.master.call("tokens", ApiTokenList, params=params).tokens
    heads = ("TOKEN", "PERSON", "FOR", "MAY", "UNTIL", "LAST USED")
    empty = "no token; make one: dockercomp tokens create"
    session.answer(found, lambda: session.table(heads, map(_token_row, found), empty))


def _token_row(view: ApiTokenView) -> tuple[str, ...]:
    may = f"{view.scope}, own jobs" if view.own else view.scope
    return view.id, view.person, view.label, may, view.expires, view.used or "never"


@tokens.command("create")
@click.option("--label", default="", help="What it is for, such as the machine's name.")
@click.option("--scope", type=_SCOPE, default="submit", show_default=True, help="What its holder may.")
@click.option("--own", is_flag=True, help="Only your own jobs, whatever your role.")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=90.0, show_default=True, help="Valid so long.")
@with_client
def tokens_create(session: Session, client: Client, label: str, scope: Scope, own: bool, days: float) -> None:
    """Make a token of your own; it is printed this once."""
    request = ApiTokenRequest(label=label, scope=scope, own=own, valid_days=days)
    made = client.master.call("token_create", ApiTokenAnswer, request)
    session.answer(made, lambda: print(made.token))
    session.say(f"{made.view.id}, scope {made.view.scope}, until {made.view.expires}: it is shown only now")


@tokens.command("revoke")
@click.argument("listed", metavar="TOKEN")
@with_client
def tokens_revoke(session: Session, client: Client, listed: str) -> None:
    """End a token (its id, as `ls` shows it) at once."""
    found = client.master.call("token_revoke", Revoked, token=listed)
    session.answer(found, lambda: session.say(f"{found.id} is revoked"))


# --- enrolment -------------------------------------------------------------------------------------------------------


@click.group()
def enrolment() -> None:
    """Enrolment tokens, by which machines become clients (for admins)."""


@enrolment.command("ls")
@with_client
def enrolment_ls(session: Session, client: Client) -> None:
    """List the enrolment tokens that are valid now."""
    found = client.master.call("enrolment_tokens", EnrolmentTokenList).tokens
    heads = ("TOKEN", "OWNER", "MACHINES", "MAY STILL JOIN", "UNTIL", "MADE BY")
    empty = "no token is valid now; make one: dockercomp enrolment create --owner NAME"
    session.answer(found, lambda: session.table(heads, map(_enrolment_row, found), empty))


def _enrolment_row(view: EnrolmentTokenView) -> tuple[str, ...]:
    owner = f"{view.owner} (trusted)" if view.trusted else view.owner
    return view.id, owner, str(view.clients), str(view.uses_left), view.expires, view.made_by


@enrolment.command("revoke")
@click.argument("listed", metavar="TOKEN")
@click.option("--retire", is_flag=True, help="Also refuse the machines that came by it, from their next sync on.")
@with_client
def enrolment_revoke(session: Session, client: Client, listed: str, retire: bool) -> None:
    """Let no more machines join by a token (its id, as `ls` shows it)."""
    params = {"retire": "yes"} if retire else {}
    found = client.master.call("enrolment_token_revoke", Revoked, params=params, token=listed)
    session.answer(found, lambda: session.say(f"{found.id} is revoked, {found.clients} machines are retired"))


@click.command()
@click.argument("client_id", metavar="CLIENT")
@with_client
def retire(session: Session, client: Client, client_id: str) -> None:
    """Refuse a machine from its next sync on, and for good (for admins)."""
    found = client.master.call("client_remove", Revoked, client=client_id)
    session.answer(found, lambda: session.say(f"{found.id} is retired; its chunks go to others"))


@click.command()
@click.argument("client_id", metavar="CLIENT")
@click.option("--reason", required=True, help="Why it may be believed again; kept in the audit log.")
@with_client
def forgive(session: Session, client: Client, client_id: str, reason: str) -> None:
    """Give a machine that was found wrong a fresh start (for admins)."""
    view = client.master.call("client_forgive", ClientView, Forgiveness(reason=reason), client=client_id)
    session.answer(view, lambda: session.say(f"{view.name} ({view.id}) begins anew: its first results are all checked"))


# --- audit -----------------------------------------------------------------------------------------------------------


@click.command()
@click.option("--person", default="", help="Only what this person did.")
@click.option("--subject", default="", help="Only what was done to this job, client, token or person.")
@click.option("--kind", default="", help="Only this kind, such as submit, client_allocate or login.")
@click.option("--since", default="", metavar="TIME", help="Not before: 2026-11-21 or 2026-11-21T07:43:00Z.")
@click.option("--until", default="", metavar="TIME", help="Before.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@with_client
def audit(session: Session, client: Client, limit: int, **asked: str) -> None:
    """Who changed what, newest first (for admins)."""
    found: list[AuditEntry] = []
    for page in client.master.pages("audit", AuditPage, params={key: value for key, value in asked.items() if value}):
        found += page.entries
        if len(found) >= limit:
            break
    del found[limit:]
    heads = ("WHEN", "WHO", "BY", "WHAT", "TO WHAT", "OUTCOME", "FROM", "")
    session.answer(found, lambda: session.table(heads, map(_audit_row, found), "nothing of that kind was done"))


def _audit_row(each: AuditEntry) -> tuple[str, ...]:
    return each.at[:19], each.person, each.by, each.kind, each.subject, each.outcome, each.address, each.detail


COMMANDS = (whoami, people, tokens, enrolment, retire, forgive, audit)
