"""Finding the Docker Engine: the far side of the socket is played here."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from dockercomp.machine import docker_host
from dockercomp.machine.docker_host import NoEngineError, NoPermissionError


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/_ping" else 404)
        self.end_headers()
        self.wfile.write(b"OK")

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def engine(path: Path) -> Iterator[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with socketserver.UnixStreamServer(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            server.shutdown()
            thread.join()


def test_the_one_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    assert docker_host.candidates(tmp_path, {"DC_DOCKER_HOST": "a", "DOCKER_HOST": "b"}) == ["a"]
    assert docker_host.candidates(tmp_path, {"DOCKER_HOST": "b"}) == ["b"]


def test_without_a_name_the_usual_places_are_tried(tmp_path: Path) -> None:
    found = docker_host.candidates(tmp_path, {"XDG_RUNTIME_DIR": "/run/user/1"})
    assert found[0] == docker_host.DEFAULT
    assert f"unix://{docker_host.private_socket(tmp_path)}" in found
    assert "unix:///run/user/1/docker.sock" in found


def test_an_engine_that_answers_is_found(tmp_path: Path) -> None:
    with engine(tmp_path / "s") as address:
        assert docker_host.find(tmp_path, {"DOCKER_HOST": address}) == address


def test_its_refusal_is_an_error_with_its_words(tmp_path: Path) -> None:
    with engine(tmp_path / "s") as address, pytest.raises(ValueError, match="GET /x: 404"):
        docker_host.ask(address, "GET", "/x")


def test_none_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoEngineError, match=f"{tmp_path}/none"):
        docker_host.find(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/none"})


def test_a_denied_socket_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(docker_host, "ask", denied)
    with pytest.raises(NoPermissionError, match="group docker"):
        docker_host.find(tmp_path, {"DOCKER_HOST": f"unix://{tmp_path}/s"})


@pytest.mark.parametrize("address", ["ssh://host", "npipe:////./pipe/docker_engine", "nonsense"])
def test_addresses_that_cannot_be_used_are_told(tmp_path: Path, address: str) -> None:
    with pytest.raises(NoEngineError, match="only unix:// and tcp://"):
        docker_host.find(tmp_path, {"DOCKER_HOST": address})
