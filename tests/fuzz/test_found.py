"""What fuzzing found, each as the one request that showed it."""

import pytest

from tests.fuzz.target import Asking, Target

FOUND = {
    "a body that is no UTF-8, from anybody": Asking("POST", "/api/v1/enrol", body=b'{"token":"\xff"}'),
    "a query that is no UTF-8": Asking("GET", "/api/v1/tokens", "\xff\xfe", caller="ada"),
    "a query that is no UTF-8, on a page": Asking("GET", "/jobs", "\xff\xfe", session="ada"),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_request_is_refused_as_such(here: Target, name: str) -> None:
    assert 400 <= here.ask(FOUND[name]).status < 500
