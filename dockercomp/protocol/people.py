"""What people and admins send and see about people, tokens and the audit log (JSON)."""

from typing import Annotated, Literal

from msgspec import Meta

from .messages import Message

Role = Literal["admin", "scientist", "viewer"]
Scope = Literal["read", "submit", "admin"]
"""What a request needs and a token gives: `read` looks, `submit` submits and changes own jobs, `admin` the rest."""

PersonName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*\Z")]
Label = Annotated[str, Meta(max_length=100)]


class PersonView(Message, frozen=True, kw_only=True):
    name: str
    role: Role
    created: str = ""
    """RFC 3339, UTC; empty where it is not known."""
    has_password: bool = True
    """False until the one-time link that came with the account was used."""


class PersonList(Message, frozen=True, kw_only=True):
    people: list[PersonView]


class PersonRequest(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: PersonName
    role: Role = "scientist"


class RoleChange(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Role


class PasswordLink(Message, frozen=True, kw_only=True):
    """A link by which a person chooses a password, once."""

    name: str
    link: str
    valid_days: int


class Identity(Message, frozen=True, kw_only=True):
    """Who a token stands for, and what it may do."""

    name: str
    role: Role
    scope: Scope
    own: bool
    expires: str = ""


class ApiTokenRequest(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token of one's own. It never gives more, nor lasts longer, than the token that asked for it."""

    label: Label = ""
    scope: Scope = "submit"
    own: bool = False
    """Only jobs of one's own, whatever the role."""
    valid_days: Annotated[float, Meta(gt=0, le=3660)] = 90.0


class ApiTokenView(Message, frozen=True, kw_only=True):
    id: str
    person: str
    label: str
    scope: Scope
    own: bool
    created: str
    expires: str
    used: str = ""
    """When it was used last, to about a minute; empty: never."""


class ApiTokenAnswer(Message, frozen=True, kw_only=True):
    token: str
    """Shown only now: the master keeps a digest."""
    view: ApiTokenView


class ApiTokenList(Message, frozen=True, kw_only=True):
    tokens: list[ApiTokenView]


class EnrolmentTokenView(Message, frozen=True, kw_only=True):
    id: str
    owner: str
    trusted: bool
    uses_left: int
    clients: int
    """Machines that became clients by it and were not retired."""
    created: str
    expires: str
    made_by: str = ""


class EnrolmentTokenList(Message, frozen=True, kw_only=True):
    tokens: list[EnrolmentTokenView]


class Revoked(Message, frozen=True, kw_only=True):
    id: str
    clients: int = 0
    """Clients that were retired with it."""


class AuditEntry(Message, frozen=True, kw_only=True):
    """One thing that somebody did, or was refused."""

    id: str
    at: str
    """RFC 3339, UTC, by the database's clock."""
    person: str
    """Whose credentials did it; a client's id; `server` for commands on the master's machine."""
    by: str
    """With what: `session`, `link`, `password`, `command`, or an API token's id."""
    address: str
    kind: str
    """The route's name, or `login`, `logout`, `password`."""
    subject: str
    """What it was done to: the id of a job, client or token, or a person's name."""
    outcome: str
    """`done`, or the code of the error that refused it."""
    detail: str = ""


class AuditPage(Message, frozen=True, kw_only=True):
    entries: list[AuditEntry]
    next: str | None = None
