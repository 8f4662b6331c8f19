"""When a scientist is told what, and when it is tried again."""

from typing import Any

import pytest

from server import notices
from server.notices import Pending


def job(state: str, *told: str) -> dict[str, Any]:
    return {"state": state, "told": list(told)}


@pytest.mark.parametrize(
    ("document", "waits_since", "expected"),
    [
        (job("completed"), None, "completed"),
        (job("completed", "completed"), None, None),
        (job("failed", "waits"), None, "failed"),
        (job("running"), None, None),
        (job("running"), 1000.0 - 599, None),
        (job("running"), 1000.0 - 600, "waits"),
        (job("running", "waits"), 0.0, None),
        (job("running") | {"withdrawn": "a reason"}, None, "withdrawn"),
        (job("running", "withdrawn") | {"withdrawn": "a reason"}, 1000.0 - 600, "waits"),
        (job("completed") | {"withdrawn": "a reason", "warning": "a reason"}, None, "completed"),
        (job("completed", "completed") | {"warning": "a reason"}, None, "doubtful"),
        (job("completed", "completed", "doubtful") | {"warning": "a reason"}, None, None),
    ],
)
def test_what_is_due(document: dict[str, Any], waits_since: float | None, expected: str | None) -> None:
    assert notices.due(document, waits_since, 1000.0) == expected


def test_pauses_grow_and_end() -> None:
    pending, now, pauses = Pending(event="failed", number=0, left=("a", "b")), 0.0, []
    while not notices.over(pending):
        pending = notices.after(pending, ["b"], "no answer", now)
        pauses.append(pending.next - now)
        now = pending.next
    assert pending.left == ("a",) and pending.problem == "no answer"
    assert pauses[:3] == [30, 60, 120] and max(pauses) == notices.LONGEST_PAUSE_S
    assert len(pauses) == notices.MOST_TRIES and sum(pauses) > 2 * 86_400


def test_once_everybody_is_reached_it_is_over() -> None:
    assert notices.over(notices.after(Pending(event="failed", number=0, left=("a",)), ["a"], "", 0.0))
