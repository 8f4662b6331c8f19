"""Who may do what. Pure: a person's role and the scope of their token must both grant what a request needs."""

from collections.abc import Callable
from dataclasses import dataclass

from dockercomp.protocol.people import Role, Scope

_OF_ROLE: dict[Role, frozenset[Scope]] = {
    "viewer": frozenset({"read"}),
    "scientist": frozenset({"read", "submit"}),
    "admin": frozenset({"read", "submit", "admin"}),
}
_OF_SCOPE: dict[Scope, frozenset[Scope]] = {
    "read": frozenset({"read"}),
    "submit": frozenset({"read", "submit"}),
    "admin": frozenset({"read", "submit", "admin"}),
}
SCOPES: tuple[Scope, ...] = ("read", "submit", "admin")


@dataclass(frozen=True)
class Reach:
    """What somebody's job may read: results of jobs of owners that it `sees`, uploads of digests that it `holds`."""

    sees: Callable[[str], bool]
    holds: Callable[[str], bool]


EVERYTHING = Reach(sees=lambda owner: True, holds=lambda digest: True)


@dataclass(frozen=True)
class Rights:
    """`own` narrows them to the person's own jobs."""

    person: str
    role: Role
    scope: Scope = "admin"
    own: bool = False

    def may(self, needed: Scope) -> bool:
        if self.own and needed == "admin":
            return False  # what is not about jobs of one's own
        return needed in _OF_ROLE[self.role] and needed in _OF_SCOPE[self.scope]

    @property
    def sees_all(self) -> bool:
        """Every job; else those of one's own."""
        return self.role in ("admin", "viewer") and not self.own

    @property
    def only_owner(self) -> str:
        """Whose jobs alone exist for this person; empty: everybody's do."""
        return "" if self.sees_all else self.person

    def sees(self, owner: str) -> bool:
        """Whether a job of `owner` exists for this person."""
        return self.sees_all or owner == self.person

    def changes(self, owner: str) -> bool:
        """Whether this person may change a job of `owner`."""
        return self.may("submit") if owner == self.person else self.sees_all and self.may("admin")

    def may_give(self, scope: Scope, own: bool) -> bool:
        """Whether a token made by these rights may have that scope: never more than they have themselves."""
        return _OF_SCOPE[scope] <= _OF_SCOPE[self.scope] and (own or not self.own)
