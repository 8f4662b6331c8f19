"""What an admin is told on the dashboard of how the master is reached, and what its headers say."""

from pathlib import Path

import msgspec

from dockercomp.protocol.messages import EnrolRequest
from tests.integration.people_parts import World, world
from tests.integration.simulated import CEILING, MACHINE


def test_plain_http_beyond_loopback_is_said_on_each_page_of_an_admin(mongo_uri: str, tmp_path: Path) -> None:
    with world(mongo_uri, tmp_path, bind="0.0.0.0") as here:
        assert "This master speaks plain HTTP at 0.0.0.0" in here.browser("root").get("/").text
        assert "plain HTTP at" not in here.browser("ada").get("/").text


FORGED = {"X-Forwarded-For": "198.51.100.1, 203.0.113.5, 203.0.113.6", "X-Forwarded-Proto": "https"}


def address_of_a_client(here: World) -> str:
    """As the master sees one that enrols, through two proxies of which the first is told who knows what."""
    request = EnrolRequest(token=here.master.token, machine=MACHINE, ceiling=CEILING, request="a" * 16)
    answer = here.app.test_client().post("/api/v1/enrol", data=msgspec.json.encode(request), headers=FORGED)
    document = here.store.database["clients"].find_one({"_id": answer.json["client"]})
    assert document is not None
    return str(document["address"])


def test_behind_proxies_exactly_so_many_are_believed(mongo_uri: str, tmp_path: Path) -> None:
    with world(mongo_uri, tmp_path, public_url="https://compute.example.org", proxy_hops=2) as here:
        assert address_of_a_client(here) == "203.0.113.5"
        page = here.app.test_client().get("/login", headers=FORGED)
        assert "Strict-Transport-Security" in page.headers and "Secure" in page.headers["Set-Cookie"]


def test_without_a_proxy_no_header_is_believed(mongo_uri: str, tmp_path: Path) -> None:
    with world(mongo_uri, tmp_path) as here:
        assert address_of_a_client(here) == "127.0.0.1"
        answer = here.app.test_client().get("/login", headers=FORGED)
        assert "Strict-Transport-Security" not in answer.headers
        assert "Secure" not in answer.headers.get("Set-Cookie", "")
