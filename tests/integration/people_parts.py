"""A master's application on a real mongod, with every kind of caller: for tests of who may do what."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from dockercomp.protocol.people import ApiTokenRequest, Role, Scope
from server.app import create_app
from server.people import People
from server.rights import Rights
from server.settings import Settings
from server.store import Store, schema
from server.store.connection import connect
from server.store.credentials import secret_hash
from server.tokens import Tokens
from tests.integration.simulated import Master, Volunteer

PASSWORD = "a long enough password"
PEOPLE: Mapping[str, Role] = {"root": "admin", "ada": "scientist", "eve": "scientist", "viola": "viewer"}


@dataclass
class World:
    """`callers` are bearer tokens by the caller's kind; people's names stand for their whole rights."""

    app: Flask
    store: Store
    master: Master = field(init=False)
    people: People = field(init=False)
    callers: dict[str, str] = field(default_factory=dict)
    volunteers: dict[str, Volunteer] = field(default_factory=dict)

    def reset(self) -> None:
        """As at the beginning: people, their tokens, a client that will hold leases and one that will not."""
        for name in self.store.database.list_collection_names():
            self.store.database[name].delete_many({})
        self.master, self.people = Master(self.store), People(self.store)
        for person, role in PEOPLE.items():
            self.store.users.add(person, role, _hashed(), datetime.now(timezone.utc))
        self.callers = {person: self.token(person) for person in PEOPLE} | {
            "nobody": "",
            "ended token": self.token("ada", days=1e-9),
            "ada to read": self.token("ada", "read"),
            "ada to submit": self.token("ada", "submit"),
            "root to read": self.token("root", "read"),
            "root to submit": self.token("root", "submit"),
            "root for own jobs": self.token("root", own=True),
        }
        for name in ("client", "other client"):
            self.volunteers[name], self.callers[name] = self.enrolled()

    def token(self, person: str, scope: Scope = "admin", *, own: bool = False, days: float = 1.0) -> str:
        """A token of this person, made as by a session of theirs."""
        rights = Rights(person, PEOPLE.get(person, "scientist"))
        return Tokens(self.store).make(rights, ApiTokenRequest(scope=scope, own=own, valid_days=days)).token

    def call(self, method: str, path: str, token: str = "", **options: Any) -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.app.test_client().open(path, method=method, headers=headers, buffered=True, **options)

    def browser(self, person: str = "") -> FlaskClient:
        """A browser; with a name, one in which that person is logged in."""
        client = self.app.test_client()
        if person:
            found = self.people.by_name(person)
            assert found is not None
            with client.session_transaction() as session:
                session["_user_id"] = found.get_id()
        return client

    def enrolled(self) -> tuple[Volunteer, str]:
        """A new client, and its bearer token."""
        volunteer = self.master.volunteer()
        secret = secrets.token_hex(16)
        volunteer.secret_hash = secret_hash(secret)
        clients = self.store.database["clients"]
        clients.update_one({"_id": volunteer.id}, {"$set": {"secret_hash": volunteer.secret_hash}})
        return volunteer, f"{volunteer.id}.{secret}"


@contextmanager
def world(mongo_uri: str, home: Path, **options: Any) -> Iterator[World]:
    """On a database of its own; `options` are settings."""
    database = f"test_{secrets.token_hex(6)}"
    settings = Settings(
        home=home,
        host="127.0.0.1",
        port=1,
        bind=options.pop("bind", "127.0.0.1"),
        scheme="http",
        mongo_uri=mongo_uri,
        database=database,
        processes=1,
        threads=4,
        public_url=options.pop("public_url", ""),
        **options,
    )
    connection = connect(mongo_uri, database)
    schema.apply(connection, mongo_uri)
    app = create_app(settings)
    store = app.extensions["dockercomp"].store
    app.config["WTF_CSRF_ENABLED"] = False  # forms are sent here without their page
    found = World(app, store)
    found.reset()
    yield found
    store.close()
    connection.client.drop_database(database)
    connection.client.close()


@cache
def _hashed() -> str:
    return PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD)
