"""Syncs that fit their schema and make no sense: whatever a client says, the master answers, and keeps its own."""

import hashlib
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dockercomp.protocol.messages import SyncAnswer
from server.api import openapi
from tests.fuzz import bodies
from tests.fuzz.conftest import share
from tests.fuzz.target import Asking, Target

_WORDS = st.one_of(st.text(max_size=20), st.sampled_from(["", "0" * 64, "s", "i", "j0000000000", "x" * 500]))
_BIG = st.one_of(st.integers(0, 10), st.integers(0, 2**53), st.just(2**53))
_AMOUNT = st.one_of(st.floats(0, 1e12), st.integers(0, 3))


def named(leases: list[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.sampled_from(leases), _WORDS)


@st.composite
def result(draw: st.DrawFn, leases: list[str]) -> dict[str, Any]:
    payload = draw(st.binary(max_size=60))
    right = {"digest": hashlib.sha256(payload).hexdigest(), "size": len(payload), "payload": _coded(payload)}
    wrong = {"digest": draw(_WORDS), "size": draw(_BIG), "payload": _coded(draw(st.binary(max_size=9)))}
    found: dict[str, Any] = {
        "lease": draw(named(leases)),
        "outcome": draw(st.sampled_from(["done", "failed", "returned"])),
        **{key: draw(st.sampled_from([right[key], wrong[key]])) for key in right if draw(st.integers(0, 4))},
    }
    for key in ("cpu_s", "wall_s", "cpus_limit"):
        found[key] = draw(_AMOUNT)
    for key in ("memory_peak", "memory_limit"):
        found[key] = draw(_BIG)
    found["input_digest"], found["log"] = draw(_WORDS), draw(st.text(max_size=50))
    if draw(st.booleans()):
        reason = st.sampled_from(["exit", "signal", "memory", "input", "image", "engine", "refused", "time"])
        code = draw(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)))
        found["failure"] = {
            "reason": draw(reason),
            "message": draw(_WORDS),
            "exit_code": code,
            "log_head": draw(_WORDS),
        }
    return found


def _coded(data: bytes) -> str:
    return str(msgspec.to_builtins(data))


@st.composite
def running(draw: st.DrawFn, leases: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"lease": draw(named(leases)), "seconds": draw(_AMOUNT), "message": draw(_WORDS)}
    for kind in ("log", "output"):
        found |= {f"{kind}_from": draw(_BIG), kind: _coded(draw(st.binary(max_size=30)))}
    return found | {"checkpoint": draw(_BIG), "progress": draw(st.one_of(st.none(), st.floats(0, 1)))}


@st.composite
def message(draw: st.DrawFn, leases: list[str], real: dict[str, Any]) -> dict[str, Any]:
    """A real sync with some of its fields made anew."""
    made: dict[str, st.SearchStrategy[Any]] = {
        "session": _WORDS,
        "seq": _BIG,
        "held": st.lists(named(leases), max_size=6),
        "results": st.lists(result(leases), max_size=5),
        "running": st.lists(running(leases), max_size=4),
        "want": _BIG,
        "known_jobs": st.lists(_WORDS, max_size=4),
        "refused_jobs": st.lists(st.fixed_dictionaries({"job": _WORDS, "reason": _WORDS}), max_size=3),
        "load": _AMOUNT,
        "status": _WORDS,
        "leaving": st.booleans(),
        "ceiling": st.fixed_dictionaries({"containers": _BIG, "cpus": _AMOUNT, "memory": _BIG, "disk": _BIG}),
        "applied": st.fixed_dictionaries(
            {"version": _BIG, "containers": _BIG, "cpus": _AMOUNT, "memory": _BIG, "verified": st.booleans()}
        ),
    }
    fields = draw(st.sets(st.sampled_from(sorted(made)), min_size=1))
    return real | {name: draw(made[name]) for name in sorted(fields)}


def test_any_sync_is_answered(here: Target) -> None:
    here.renew()

    @settings(
        max_examples=share(0.06),
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def each(data: st.DataObject) -> None:
        here.fresh()
        real = msgspec.json.decode(bodies.of(here)["sync"])
        body = msgspec.json.encode(data.draw(message(here.things["lease"], real)))
        answer = here.ask(Asking("POST", "/api/v1/sync", body=body, caller="client"))
        assert answer.status in (200, 400, 409), answer.body  # 409: older than the last one answered
        if answer.status == 200:
            msgspec.json.decode(answer.body, type=SyncAnswer)

    each()


def test_the_document_names_the_same_fields(here: Target) -> None:
    """So that a new field of the sync is made here too."""
    here.fresh()
    known = set(openapi.document("http://x")["components"]["schemas"]["SyncRequest"]["properties"])
    assert known == {*msgspec.json.decode(bodies.of(here)["sync"]), "leaving"}
