"""A job as the Python API holds it, against a server that speaks the routes."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockercomp
from dockercomp import Client, JobFailed, starter
from dockercomp.protocol.errors import Unauthorized
from tests.unit.fake_api import TOKEN, FakeMaster, completed, job, serving


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with serving() as found:
        yield found


@pytest.fixture
def client(master: FakeMaster) -> Iterator[Client]:
    with Client(master.url, TOKEN, retries=1) as found:
        yield found


def test_a_folder_and_a_file_become_a_job(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    starter.create(tmp_path / "words")
    made = client.submit(str(tmp_path / "words"), tmp_path / "words" / "example.txt", reuse=False, key="k")
    [(key, request)] = master.submitted
    assert (made.id, key, request.spec.reuse) == ("j1", "k", False)
    assert made.submitted is not None and made.submitted.state == "running"


def test_waiting_returns_when_it_is_complete(
    client: Client, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    master.result = "größe\n".encode()
    master.history = [job(accepted=1), completed(master.result)]
    found = client.job("j1")
    assert found.wait(progress=True).state == "completed"
    assert (found.result_text(), found.result()) == ("größe\n", master.result)
    shown = capsys.readouterr()
    assert "words" in shown.err and not shown.out


@pytest.mark.parametrize(("state", "words"), [("failed", "has failed: chunk 3"), ("cancelled", "was cancelled: chu")])
def test_a_job_that_ends_otherwise_says_why(client: Client, master: FakeMaster, state: str, words: str) -> None:
    master.history = [job(state, error="chunk 3 found no quorum")]
    with pytest.raises(JobFailed, match=words) as caught:
        client.job("j1").wait()
    assert caught.value.view.state == state


def test_waiting_may_end_before_the_job(client: Client) -> None:
    with pytest.raises(TimeoutError, match="it goes on"):
        client.job("j1").wait(timeout=0)


def test_one_client_serves_several_threads(client: Client, master: FakeMaster) -> None:
    seen: list[str] = []
    begin = threading.Barrier(8)

    def look() -> None:
        begin.wait()
        seen.extend(client.job("j1").view.name for _ in range(10))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["words"] * 80


def test_without_arguments_it_finds_the_master_that_the_environment_names(
    master: FakeMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DC_PUBLIC_URL", master.url)
    monkeypatch.setenv("DC_API_TOKEN", TOKEN)
    with Client() as client:
        assert client.job("j1").view.name == "words"
    monkeypatch.setenv("DC_API_TOKEN", "wrong")
    with Client() as client, pytest.raises(Unauthorized):
        client.images()


def test_the_package_names_its_api_and_nothing_else() -> None:
    assert all(hasattr(dockercomp, name) for name in dockercomp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Clinet'"):
        _ = dockercomp.Clinet  # type: ignore[attr-defined]
