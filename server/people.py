"""People: users, their passwords (argon2) and their sessions."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Literal

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask_login import UserMixin

from server.store import Store

Role = Literal["admin", "scientist", "viewer"]

LOGIN_LINK_VALID = timedelta(minutes=15)

_hasher = PasswordHasher()


@dataclass(eq=False)
class Person(UserMixin):  # type: ignore[misc]
    """A user who is logged in."""

    id: str
    role: Role


class People:
    def __init__(self, store: Store) -> None:
        self._store = store

    def load(self, name: str) -> Person | None:
        found = self._store.credentials.user(name)
        return Person(found["_id"], found["role"]) if found else None

    def log_in(self, name: str, password: str) -> Person | None:
        """The user of this name and password. Takes as long for an unknown name as for a wrong password."""
        found = self._store.credentials.user(name)
        known = found["password_hash"] if found else _unknown_users_hash()
        try:
            _hasher.verify(known, password)
        except (VerificationError, InvalidHashError):
            return None
        return Person(found["_id"], found["role"]) if found else None

    def login_link(self, name: str, url: str) -> str:
        """A link to the master at `url` that logs `name` in once, within 15 minutes."""
        secret = self._store.credentials.make("login", datetime.now(timezone.utc), LOGIN_LINK_VALID, user=name)
        return f"{url}/login/{secret}"

    def of_login_link(self, secret: str) -> str | None:
        """Whom a one-time link would log in; looking does not use it up."""
        found = self._store.credentials.find("login", secret, datetime.now(timezone.utc))
        return str(found["user"]) if found else None

    def log_in_by_link(self, secret: str) -> Person | None:
        """The user a one-time link was made for; the link is used up."""
        found = self._store.credentials.use_once("login", secret, datetime.now(timezone.utc))
        return self.load(found["user"]) if found else None

    def add(self, name: str, role: Role, password: str) -> bool:
        """False where the name is taken; its password stays as it was then."""
        return self._store.credentials.add_user(name, role, _hasher.hash(password))

    def set_password(self, name: str, password: str) -> bool:
        """False where there is no such user."""
        return self._store.credentials.set_password(name, _hasher.hash(password))

    def api_token(self, name: str, role: Role, valid: timedelta) -> str:
        """A token for this user's programs, shown once."""
        return self._store.credentials.make("api", datetime.now(timezone.utc), valid, user=name, role=role)


@cache
def _unknown_users_hash() -> str:
    """A hash that nobody's password has, made once."""
    return _hasher.hash(secrets.token_hex(16))
