"""When a request is there, and how fast a body must come."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import slow
from server.arrival import ARRIVAL_S, GRACE_S, HEAD_LIMIT, LEAST_RATE, WHOLE, Arrival, HeadTooLarge, seconds_left
from server.slow import PacedSocket


def head(*lines: str) -> bytes:
    return "\r\n".join(("POST / HTTP/1.1", "Host: x", *lines, "", "")).encode()


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", False),
        (b"POST / HTTP/1.1\r\nHost: x\r\n", False),
        (head(), True),
        (head("Content-Length: 3") + b"ab", False),
        (head("Content-Length: 3") + b"abc", True),
        (head("content-length:3 ") + b"ab", False),
        (head(f"Content-Length: {WHOLE}") + b"x" * (WHOLE - 1), False),
        (head(f"Content-Length: {WHOLE + 1}"), True),
        (head("Transfer-Encoding: chunked"), True),
        (head("Content-Length: 3", "Content-Length: 4"), True),
        (head("Content-Length: many"), True),
        (head("X: Content-Length: 9"), True),
    ],
)
def test_a_thread_is_given_once_head_and_small_body_are_there(data: bytes, whole: bool) -> None:
    assert Arrival().add(data) is whole


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_it_does_not_matter_in_what_pieces_a_request_comes(cuts: list[int]) -> None:
    data, found = head("Content-Length: 10") + b"0123456789", Arrival()
    said = []
    for cut in cuts:
        if data:
            said.append(found.add(data[:cut]))
            data = data[cut:]
    assert said.count(True) == (1 if not data else 0)


def test_a_head_without_an_end_is_refused() -> None:
    found = Arrival()
    with pytest.raises(HeadTooLarge):
        for _ in range(HEAD_LIMIT):
            found.add(b"aa")
    with pytest.raises(HeadTooLarge):
        Arrival().add(b"a" * (HEAD_LIMIT + 1) + b"\r\n" * 3)


def test_a_body_has_a_least_rate_once_its_time_of_grace_is_over() -> None:
    assert ARRIVAL_S <= GRACE_S
    assert seconds_left(GRACE_S - 1, 0) == 1
    assert seconds_left(GRACE_S + 1, 0) < 0
    assert seconds_left(GRACE_S + 60, 61 * LEAST_RATE) == 1


def test_a_body_that_comes_too_slowly_ends_with_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = socket.socketpair()
    with near, far:
        paced = PacedSocket(near)
        far.sendall(b"abc")
        assert paced.recv(2) == b"ab"
        monkeypatch.setattr(slow, "seconds_left", lambda elapsed, received: 0.05 if received < 3 else 0)
        assert paced.recv(1) == b"c" and near.gettimeout() is None
        with pytest.raises(TimeoutError, match="too slowly"):
            paced.recv(1)
        paced.begin()
        with pytest.raises(TimeoutError):
            paced.recv(1)
