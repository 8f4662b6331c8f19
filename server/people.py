"""Duty: people, their passwords (argon2), sessions, one-time links and roles."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_login import UserMixin

from dockercomp.protocol.errors import BadRequest, Conflict, NotFound
from dockercomp.protocol.people import PersonView, Role
from server.rights import Rights
from server.store import Store
from server.store.connection import Document

LOGIN_LINK_VALID = timedelta(minutes=15)
PASSWORD_LINK_VALID = timedelta(days=7)
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 1000
FIRST_ADMIN = "admin"

_hasher = PasswordHasher()


@dataclass(eq=False)
class Person(UserMixin):  # type: ignore[misc]
    """Someone who is logged in. A session names the marks that the person had then: it ends when these change."""

    id: str
    role: Role
    marks: str = ""

    def get_id(self) -> str:
        return f"{self.marks} {self.id}"

    @property
    def rights(self) -> Rights:
        return Rights(self.id, self.role)


class People:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._users = store.users

    # --- coming in ---------------------------------------------------------------------------------------------------

    def load(self, session: str) -> Person | None:
        """Who a session stands for; None where it was ended."""
        marks, _, name = session.partition(" ")
        person = _person(self._users.by_name(name))
        return person if person and person.marks == marks else None

    def by_name(self, name: str) -> Person | None:
        return _person(self._users.by_name(name))

    def log_in(self, name: str, password: str) -> Person | None:
        """The person of this name and password. Takes as long for an unknown name as for a wrong password."""
        found = self._users.by_name(name)
        known = (found and found["password_hash"]) or _nobodys_hash()
        try:
            _hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return _person(found)

    def login_link(self, name: str, url: str) -> str:
        """A link to the master at `url` that logs `name` in once, within 15 minutes. Raises NotFound."""
        return f"{url}/login/{self._one_time('login', name, LOGIN_LINK_VALID)}"

    def of_login_link(self, secret: str) -> str | None:
        """Whom a one-time link would log in; looking does not use it up."""
        found = self._store.credentials.of_person("login", secret, _now())
        return str(found["user"]) if found else None

    def log_in_by_link(self, secret: str) -> Person | None:
        """The person a one-time link was made for; the link is used up."""
        if self.of_login_link(secret) is None:
            return None
        found = self._store.credentials.use_once("login", secret, _now())
        return _person(self._users.by_name(found["user"])) if found else None

    # --- passwords ---------------------------------------------------------------------------------------------------

    def password_link(self, name: str, url: str) -> str:
        """A link by which `name` chooses a password once, within a week. Raises NotFound."""
        return f"{url}/password/{self._one_time('password', name, PASSWORD_LINK_VALID)}"

    def of_password_link(self, secret: str) -> str | None:
        """Whose password a link would set; looking does not use it up."""
        found = self._store.credentials.of_person("password", secret, _now())
        return str(found["user"]) if found else None

    def set_password_by_link(self, secret: str, password: str) -> Person | None:
        """The person, with a new password; None where the link was used or has expired. Raises BadRequest for a
        password that is too short, and then the link can still be used."""
        hashed = _hash(password)
        found = self._store.credentials.of_person("password", secret, _now())
        if found is None or self._store.credentials.use_once("password", secret, _now()) is None:
            return None
        return self._new_password(found["user"], hashed, found["person"].get("generation"))

    def change_password(self, name: str, old: str, new: str) -> Person | None:
        """The person, with a new password; None where `old` is wrong. Ends all other sessions, and all tokens."""
        hashed = _hash(new)
        return self._new_password(name, hashed) if self.log_in(name, old) else None

    def set_password(self, name: str, password: str) -> bool:
        """False where there is no such person. Ends all of their sessions and tokens."""
        return self._new_password(name, _hash(password)) is not None

    def _new_password(self, name: str, hashed: str, generation: str | None = None) -> Person | None:
        found = self._users.set_password(name, hashed, generation)  # everything ends here; the rest is tidying
        if found is not None:
            self._store.credentials.remove_of(name)
        return _person(found)

    # --- accounts ----------------------------------------------------------------------------------------------------

    def all(self) -> list[PersonView]:
        return [_view(found) for found in self._users.all()]

    def add(self, name: str, role: Role, password: str = "") -> bool:
        """False where the name is taken; its password stays as it was then. Without a password a link sets it."""
        return self._users.add(name, role, _hasher.hash(password) if password else "", _now())

    def set_role(self, name: str, role: Role) -> PersonView:
        """At once, for sessions and tokens too. Raises NotFound, Conflict for the last admin."""
        self._keep_an_admin(name, role)
        return _view(_known(name, self._users.set_role(name, role)))

    def end_sessions(self, name: str) -> PersonView:
        """Log out everywhere; tokens stay. Raises NotFound."""
        return _view(_known(name, self._users.end_sessions(name)))

    def remove(self, name: str) -> PersonView:
        """Sessions, tokens and signing keys end at once, jobs stay. Raises NotFound, Conflict for the last admin."""
        self._keep_an_admin(name)
        found = _known(name, self._users.remove(name))
        self._store.credentials.remove_of(name)
        self._store.scientist_keys.revoke_of(name, datetime.now(timezone.utc))
        return _view(found)

    def an_admin(self) -> str:
        """The name of an admin: `admin` where that is one, and made one where there is none."""
        admins = self._users.admins()
        if not admins:
            if not self.add(FIRST_ADMIN, "admin"):
                self._users.set_role(FIRST_ADMIN, "admin")
            return FIRST_ADMIN
        return FIRST_ADMIN if FIRST_ADMIN in admins else admins[0]

    def _keep_an_admin(self, name: str, role: Role | None = None) -> None:
        if role != "admin" and self._users.admins() == [name]:
            raise Conflict(f"{name} is the last admin: make somebody else an admin first")

    def _one_time(self, kind: str, name: str, valid: timedelta) -> str:
        found = _known(name, self._users.by_name(name))
        generation = found.get("generation", "")
        return self._store.credentials.make(kind, _now(), valid, user=name, generation=generation)


def _person(found: Document | None) -> Person | None:
    if found is None:
        return None
    return Person(found["_id"], found["role"], f"{found.get('generation', '')}.{found.get('logins', '')}")


def _view(found: Document) -> PersonView:
    created = found.get("created")
    return PersonView(
        name=found["_id"],
        role=found["role"],
        created=f"{created.isoformat(timespec='seconds')}Z" if created else "",
        has_password=bool(found["password_hash"]),
    )


def _known(name: str, found: Document | None) -> Document:
    if found is None:
        raise NotFound(f"there is no person {name}")
    return found


def _hash(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadRequest(f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")
    return _hasher.hash(password)


def _now() -> datetime:
    return datetime.now(timezone.utc)


@cache
def _nobodys_hash() -> str:
    """A hash that nobody's password has, made once."""
    return _hasher.hash(secrets.token_hex(16))
