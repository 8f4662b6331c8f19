"""How long leases last whose client stood still."""

from hypothesis import given
from hypothesis import strategies as st

from server.pausing import LONGEST_S, extended, stood_still

HOUR = 3600.0
moments = st.lists(st.floats(0, 20 * 86_400), max_size=12).map(sorted)


def spans(ends: list[float]) -> list[dict[str, float]]:
    return [{"start": start, "stop": stop} for start, stop in zip(ends[::2], ends[1::2], strict=False)]


def test_the_time_of_pauses_is_added() -> None:
    deadline = 100 * HOUR
    assert extended(deadline, 99 * HOUR, [], 99.5 * HOUR) == deadline
    within = [{"start": 99.25 * HOUR, "stop": 99.5 * HOUR}]
    assert extended(deadline, 99 * HOUR, within, 99.75 * HOUR) == deadline + HOUR / 4
    before = [{"start": 0.0, "stop": 99.5 * HOUR}]
    assert extended(deadline, 99 * HOUR, before, 99.75 * HOUR) == deadline + HOUR / 2, "but not what was before it"
    assert (
        extended(deadline, 99 * HOUR, [{"start": 99 * HOUR, "stop": 1e6 * HOUR}], 1e6 * HOUR) == 99 * HOUR + LONGEST_S
    )


@given(moments, st.floats(0, 1e6), st.floats(0, 14 * 86_400), st.floats(0, 20 * 86_400))
def test_a_lease_never_ends_earlier_nor_later_than_a_week_from_its_grant(
    ends: list[float], granted: float, length: float, now: float
) -> None:
    deadline = granted + length
    found = extended(deadline, granted, spans(ends), now)
    assert deadline <= found <= max(deadline, granted + LONGEST_S)
    assert found - deadline <= max(0.0, now - granted) + 1e-6


@given(moments, st.floats(0, 20 * 86_400), st.floats(0, 20 * 86_400))
def test_standing_still_is_no_longer_than_the_time_itself(ends: list[float], since: float, until: float) -> None:
    assert 0 <= stood_still(spans(ends), since, until) <= max(0.0, until - since) + 1e-6
