"""Fresh chunks are dealt by measured speed, in shrinking parts towards the end."""

from hypothesis import given
from hypothesis import strategies as st

from server.dealing import Pool, pool_of, portion, speed


def test_a_client_alone_may_take_all() -> None:
    assert portion(1000, None, pool_of([None])) == 1000


def test_the_fast_client_gets_more_of_what_is_left() -> None:
    fast, slow = speed(100, 50, 4), speed(100, 450, 4)
    pool = pool_of([fast, slow])
    assert portion(100, fast, pool) == 90
    assert portion(100, slow, pool) == 10
    assert portion(3, slow, pool) == 1


def test_who_was_not_measured_yet_counts_as_the_average() -> None:
    pool = pool_of([2.0, None, 4.0])
    assert pool == Pool(9.0, 3)
    assert portion(90, None, pool) == 30
    assert portion(10, None, pool_of([None, None])) == 5


@given(
    st.integers(1, 10**9),
    st.lists(st.none() | st.floats(1e-6, 1e6), min_size=1, max_size=20),
    st.none() | st.floats(1e-6, 1e9),
)
def test_everybody_may_take_something_and_nobody_more_than_there_is(
    left: int, speeds: list[float | None], mine: float | None
) -> None:
    assert 1 <= portion(left, mine, pool_of(speeds)) <= left
