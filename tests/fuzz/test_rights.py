"""Odd requests of those who may not: after them everything is as it was before, down to the byte."""

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from random import Random
from typing import Any

import bson
import pytest

from dockercomp.protocol.routes import ROUTES
from tests.fuzz import bodies, odd
from tests.fuzz.conftest import share
from tests.fuzz.target import Asking, Target
from tests.fuzz.test_requests import QUERIES, of_a_page, pages_of, path_of

_COUNTED = {"rates", "audit", "duties"}
"""Collections in which refusals are counted and told."""
_BATCH = 40
CALLERS = ("nobody", "ended token", "viola", "ada to read", "root to read")
"""Who may change nothing by the API."""
SESSIONS = ("", "viola")


def everything(here: Target) -> dict[str, dict[str, bytes]]:
    """All that the master keeps, documents and files, as digests. When a token was used last is no change, and what has
    ended MongoDB removes by itself."""
    database, now = here.world.store.database, datetime.now(timezone.utc)
    found = {
        name: {repr(each["_id"]): _digest(each) for each in database[name].find({"expires": {"$not": {"$lt": now}}})}
        for name in set(database.list_collection_names()) - _COUNTED
    }
    blobs = Path(here.services.settings.home, "blobs")
    return found | {"blobs": {str(file): file.read_bytes() for file in blobs.rglob("*") if file.is_file()}}


def _digest(document: dict[str, Any]) -> bytes:
    return hashlib.sha256(bson.encode({key: value for key, value in document.items() if key != "used"})).digest()


def of_the_api(here: Target, random: Random) -> Asking:
    """Any route by somebody without the right; what they may ask for is asked for too."""
    route = random.choice([each for each in ROUTES if each.name != "enrol"])
    real = bodies.of(here).get(route.name, b"")
    return Asking(
        route.method,
        path_of(route.path, here, random),
        odd.query(QUERIES, random) or "offset=0&size=9",
        odd.headers(random),
        odd.body(real, random) if random.random() < 0.3 else real,
        caller=random.choice(CALLERS),
    )


@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", ["api", "pages"])
def test_nothing_changes_without_the_right(here: Target, kind: str) -> None:
    random, pages = Random(f"rights {kind}"), [each for each in pages_of(here) if not _own(each[1])]
    for _ in range(-(-share(0.06) // _BATCH)):
        here.renew()
        for job in here.things["job"]:  # receipts are made when they are first asked for, by whoever may
            here.ask(Asking("GET", f"/api/v1/jobs/{job}/receipt", caller="root"))
        before, sent = everything(here), []
        for _ in range(_BATCH):
            asking = of_the_api(here, random) if kind == "api" else of_a_page(here, random, pages, SESSIONS)
            here.ask(asking)
            sent.append(asking)
        after = everything(here)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert not changed, f"{changed} changed by one of\n" + "\n".join(map(str, sent))


def _own(path: str) -> bool:
    """One's own account, which viewers change as well."""
    return path.startswith("/account")
