"""The worker reads inputs at URLs: whole lines, only what was submitted, only where it may, not for ever."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockercomp.protocol import messages
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.messages import Fetch
from tests.ranges import Web, serving
from worker import urls
from worker.patience import GivenUp
from worker.urls import Reach


@pytest.fixture(scope="module")
def server() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture
def web(server: Web) -> Web:
    server.__dict__.update(files={}, etags={}, moved={}, fail=0, cut=0, asked=[])
    return server


def fetch(web: Web, name: str, start: int = 0, stop: int = 2**40, **more: object) -> Fetch:
    size = len(web.files.get(name, b""))
    return Fetch(url=f"{web.url}/{name}", size=size, start=start, stop=stop, **more)  # type: ignore[arg-type]


def read(*fetches: Fetch, reach: Reach = "any") -> bytes:
    return b"".join(urls.parts(fetches, reach, lambda _: True))


def test_spans_of_several_urls_are_one_input(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "PART_LIMIT", 3)
    web.files |= {"a": b"0123456789", "b": b"abc"}
    assert read(fetch(web, "a", 2, 9), fetch(web, "b", prefix=b"head\n")) == b"2345678head\nabc"
    assert web.asked[:3] == [("a", "bytes=2-4"), ("a", "bytes=5-7"), ("a", "bytes=8-8")]


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 20), st.booleans())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_line_is_in_one_chunk_alone(web: Web, lengths: list[int], chunk: int, ended: bool) -> None:
    data = b"\n".join(b"x" * length for length in lengths) + (b"\n" if ended else b"")
    web.files["lines"] = data
    chunks = [read(fetch(web, "lines", at, at + chunk, lines=True)) for at in range(0, len(data), chunk)]
    assert b"".join(chunks) == data
    assert all(part.endswith(b"\n") for part in list(filter(None, chunks))[:-1])


def test_a_url_that_changed_is_named(web: Web) -> None:
    web.files["a"], web.etags["a"] = b"0123456789", '"one"'
    asked = fetch(web, "a", etag='"one"')
    assert read(asked) == b"0123456789"
    web.etags["a"] = '"two"'
    with pytest.raises(InvalidJob, match=f"{web.url}/a changed since the job was submitted"):
        read(asked)
    web.files["a"] += b"more"
    with pytest.raises(InvalidJob, match="changed"):
        read(fetch(web, "a", etag=""), Fetch(url=f"{web.url}/a", size=10, start=0, stop=10))
    del web.files["a"]
    with pytest.raises(InvalidJob, match="status 404"):
        read(asked)


def test_what_fails_for_a_while_is_tried_again(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    web.files["a"] = b"0123456789"
    web.cut, pauses = 2, []

    def wait(pause: float) -> bool:
        pauses.append(pause)
        return len(pauses) < 5

    assert b"".join(urls.parts([fetch(web, "a")], "any", wait)) == b"0123456789"
    monkeypatch.setattr(urls, "MOST_TRIES", 4)
    web.cut, pauses = 10**6, []
    with pytest.raises(InvalidJob, match=r"/a .*tried 4 times"):
        list(urls.parts([fetch(web, "a")], "any", wait))
    monkeypatch.setattr(urls, "MOST_TRIES", 40)
    with pytest.raises(GivenUp):
        list(urls.parts([fetch(web, "a")], "any", wait))


def test_only_where_the_volunteer_lets_it(web: Web) -> None:
    web.files["a"] = b"secret"
    web.moved["b"] = f"{web.url}/a"
    assert read(Fetch(url=f"{web.url}/b", size=6, start=0, stop=6)) == b"secret"
    with pytest.raises(InvalidJob, match="DC_FETCH=none"):
        read(fetch(web, "a"), reach="none")
    web.asked.clear()
    with pytest.raises(InvalidJob, match=r"127\.0\.0\.1.*own network.*DC_FETCH=any"):
        read(fetch(web, "a"), reach="public")
    with pytest.raises(InvalidJob, match="not an http"):
        read(Fetch(url="file:///etc/passwd", size=6, start=0, stop=6))
    assert web.asked == []


def test_parts_are_as_large_as_everywhere() -> None:
    assert urls.PART_LIMIT == messages.PART_LIMIT
