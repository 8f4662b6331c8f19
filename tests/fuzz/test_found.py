"""What fuzzing found, each as the one request that showed it."""

from dataclasses import replace

import pytest

from tests.fuzz.target import Asking, Target


def _allocation(version: str, body: bytes = b'{"containers":1,"cpus":1,"memory":1}') -> Asking:
    return Asking("PUT", "/api/v1/clients/CLIENT/allocation", headers={"If-Match": version}, body=body, caller="root")


FOUND = {
    "a body that is no UTF-8, from anybody": Asking("POST", "/api/v1/enrol", body=b'{"token":"\xff"}'),
    "a body that is nested deeply, from anybody": Asking("POST", "/api/v1/enrol", body=b"[" * 30_000),
    "a nested field that nobody asked for": Asking(
        "POST", "/api/v1/enrol", body=b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    ),
    "a package's name longer than a file's may be": Asking("GET", "/worker/" + "x" * 5000),
    "a version in a digit of another script": _allocation("\xb2"),
    "a version of too many digits": _allocation("9" * 5000),
    "a version that no database can hold": _allocation("9" * 20),
    "an allocation that no database can hold": _allocation(
        "0", b'{"containers":1,"cpus":1,"memory":18446744073709551615}'
    ),
    "a version in a digit of another script, in a form": Asking(
        "POST",
        "/clients/CLIENT/allocation",
        body=b"containers=1&cpus=1&memory=512&version=%C2%B2",
        content_type="application/x-www-form-urlencoded",
        session="root",
    ),
    "two slashes, and another host": Asking("POST", "/jobs//x/retry", headers={"Host": "evil.example"}, session="ada"),
    "a query that is no UTF-8": Asking("GET", "/api/v1/tokens", "\xff\xfe", caller="ada"),
    "a query that is no UTF-8, on a page": Asking("GET", "/jobs", "\xff\xfe", session="ada"),
}


@pytest.mark.parametrize("name", FOUND)
def test_the_request_is_refused_as_such(here: Target, name: str) -> None:
    here.fresh()
    asking = replace(FOUND[name], path=FOUND[name].path.replace("CLIENT", here.things["client"][0]))
    assert 400 <= here.ask(asking).status < 500
