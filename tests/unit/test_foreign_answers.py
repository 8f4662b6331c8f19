"""Answers of something between, such as a proxy's page, are told from the master's own."""

import msgspec
import pytest

from dockercomp.protocol.errors import (
    DockercompError,
    Forbidden,
    NotFound,
    Problem,
    QuotaExceeded,
    Unauthorized,
    error_of,
    problem_of,
)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", b"<html>Access denied</html>", b"{}", b'{"message": "login first"}', b'"no"'])
def test_a_refusal_that_is_not_the_masters_says_nothing_of_our_credentials(status: int, body: bytes) -> None:
    error = error_of(status, body)
    assert type(error) is DockercompError
    assert str(status) in error.detail and "not from the master" in error.detail


@pytest.mark.parametrize("error", [Unauthorized("retired"), Forbidden("not yours"), QuotaExceeded("full")])
def test_the_masters_own_refusal_stays_what_it_is(error: DockercompError) -> None:
    found = error_of(error.status, msgspec.json.encode(problem_of(error)))
    assert (type(found), found.detail) == (type(error), error.detail)


def test_a_refusal_of_a_newer_master_is_one_too() -> None:
    assert type(error_of(403, msgspec.json.encode(Problem(status=403, code="of_tomorrow")))) is Forbidden


def test_other_pages_are_taken_by_their_status() -> None:
    assert type(error_of(404, b"<html>")) is NotFound
