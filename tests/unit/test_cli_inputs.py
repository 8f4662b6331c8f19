"""Inputs on the scientist's machine, credentials, images of the local Docker, and how progress is worded."""

import io
import json
import os
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from dockercomp import credentials, images, progress
from dockercomp.credentials import Credentials, CredentialsError
from dockercomp.inputs import InputError, collect
from dockercomp.protocol.errors import Forbidden, Unauthorized
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, Split
from dockercomp.protocol.views import StageView
from tests.unit.fake_api import job


def spec(split: Split = "lines") -> JobSpec:
    return JobSpec(name="x", image="i", input=InputSpec(split=split, stop=9), map=ProgramSpec(command=["cat"]))


def names(split: Split, *paths: Path) -> list[str]:
    with collect(spec(split), paths) as found:
        return [each.name for each in found]


# --- inputs ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/x y.txt", "a#1.txt", "ü/日本.txt", ".hidden", ".git/HEAD", "empty"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else "text\n")
    return tmp_path / "tree"


def test_a_folder_stands_for_its_files_by_name(tree: Path) -> None:
    assert names("files", tree) == ["a#1.txt", "b/x y.txt", "empty", "ü/日本.txt"]


def test_files_keep_the_order_given_unless_the_split_is_by_files(tree: Path) -> None:
    given = (tree / "ü" / "日本.txt", tree / "a#1.txt")
    assert names("lines", *given) == ["日本.txt", "a#1.txt"]
    assert names("files", *given) == ["a#1.txt", "日本.txt"]


def test_a_link_to_a_folder_is_not_followed_and_one_to_nothing_is_told(tree: Path) -> None:
    (tree / "loop").symlink_to(tree)
    assert "loop/a#1.txt" not in names("files", tree)
    (tree / "gone").symlink_to("nothing")
    with pytest.raises(InputError, match=r"gone cannot be read: No such file"):
        names("files", tree)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.mkdir(), "is an empty folder"),
        (os.mkfifo, "neither a file nor a folder"),
    ],
)
def test_an_input_that_cannot_be_used_is_told(tmp_path: Path, make: object, words: str) -> None:
    assert callable(make)
    make(tmp_path / "in")
    with pytest.raises(InputError, match=words):
        names("lines", tmp_path / "in")


def test_a_folder_of_empty_files_is_nothing_to_split_by_lines(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert names("files", tmp_path) == ["a"]
    with pytest.raises(InputError, match="every file is empty"):
        names("lines", tmp_path)


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text("x")
    with pytest.raises(InputError, match="would both be named same"):
        names("files", tmp_path / "one", tmp_path / "two")


def test_inputs_and_split_must_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs at least one INPUT"):
        names("lines")
    with pytest.raises(InputError, match="takes no INPUT"):
        names("range", tmp_path)
    assert names("range") == []


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(path)).write_text("x")
    with pytest.raises(InputError, match="not UTF-8; rename"):
        names("files", tmp_path)


# --- credentials -----------------------------------------------------------------------------------------------------


def stored(path: Path, url: str, token: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"url": url, "token": token}))
    return path


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "ada"), "DC_HOME": str(tmp_path / "dc")}


def test_options_come_before_environment_before_the_users_file_before_the_masters(home: dict[str, str]) -> None:
    own, masters = credentials.files(home)
    stored(masters, "http://127.0.0.1:1", "masters")
    assert credentials.find(environ=home) == Credentials("http://127.0.0.1:1", "masters")
    stored(own, "https://lab.example/", "own")
    assert credentials.find(environ=home) == Credentials("https://lab.example", "own")
    environ = {**home, "DC_API_TOKEN": "env", "DC_HOST": "localhost", "DC_PORT": "9", "DC_SCHEME": "https"}
    assert credentials.find(environ=environ) == Credentials("https://localhost:9", "env")
    assert credentials.find("http://127.0.0.1:2", "mine", environ) == Credentials("http://127.0.0.1:2", "mine")


def test_a_stored_token_goes_only_to_its_own_master(home: dict[str, str]) -> None:
    own, masters = credentials.files(home)
    stored(own, "https://lab.example", "own")
    stored(masters, "http://127.0.0.1:1", "masters")
    assert credentials.find("http://127.0.0.1:1", environ=home).token == "masters"
    assert credentials.find(environ={**home, "DC_PORT": "1"}).token == "masters"
    assert credentials.find(token="other", environ=home) == Credentials("https://lab.example", "other")
    with pytest.raises(Unauthorized, match="no token for the master at https://other"):
        credentials.find("https://other", environ=home)


def test_a_token_never_travels_in_the_clear_unasked(home: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="DC_ALLOW_PLAIN_HTTP=yes"):
        credentials.find("http://10.0.0.5:8080", "t", home)
    with pytest.raises(Forbidden, match="begins with http"):
        credentials.find("10.0.0.5:8080", "t", home)
    allowed = {**home, "DC_ALLOW_PLAIN_HTTP": "yes"}
    assert credentials.find("http://10.0.0.5:8080", "t", allowed).token == "t"


def test_a_damaged_credentials_file_is_named(home: dict[str, str]) -> None:
    path = credentials.files(home)[0]
    stored(path, "", "").write_text('{"url": 1')
    with pytest.raises(CredentialsError, match=r"credentials\.json must be JSON like"):
        credentials.find(environ=home)


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "with_tag"),
    [
        ("debian", "debian:latest"),
        ("debian:12", "debian:12"),
        ("host:5000/team/tool", "host:5000/team/tool:latest"),
        ("host:5000/team/tool:1", "host:5000/team/tool:1"),
        ("debian@sha256:" + "0" * 64, "debian@sha256:" + "0" * 64),
    ],
)
def test_one_tag_of_an_image_is_saved_never_all(name: str, with_tag: str) -> None:
    assert images.tagged(name) == with_tag


def test_docker_is_missing(tmp_path: Path) -> None:
    with pytest.raises(images.ImageError, match="--archive FILE"), images.saved("x", str(tmp_path / "docker")):
        pass


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Error response from daemon: reference does not exist", "no image x:latest; build or pull"),
        ("Got permission denied while trying to connect to the Docker daemon socket", "group docker"),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "systemctl start docker"),
        ("no space left on device", "could not save x:latest: no space left"),
    ],
)
def test_what_docker_says_becomes_advice(tmp_path: Path, words: str, advice: str) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n")
    docker.chmod(0o755)
    with pytest.raises(images.ImageError, match=advice), images.saved("x", str(docker)):
        pass


# --- progress --------------------------------------------------------------------------------------------------------


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = progress.Rate()
    rate.add(0, 0)
    assert (rate.per_second, rate.eta(5)) == (0.0, None)
    for second in range(1, 101):
        rate.add(second, second)
    assert rate.per_second == 1.0
    for second in range(101, 141):
        rate.add(second, 100 + 10 * (second - 100))
    assert rate.per_second == 10.0
    assert rate.eta(50) == 5.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (250, "4 min 10 s"), (11100, "3 h 05 min"), (187200, "2 d 4 h")]
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert progress.span(seconds) == text


def test_without_a_terminal_a_line_at_each_tenth_and_when_it_waits() -> None:
    lines: list[str] = []
    now = iter(range(100))
    shown = progress.Lines(lines.append, lambda: float(next(now)))
    for accepted in (0, 1, 1, 2, 10):
        shown.show(job(accepted=accepted))
    shown.show(job(accepted=10, waiting="no client is alive"))
    assert lines == [
        "words    0 %  map 0/10  0.0 chunks/s  ETA -",
        "words   10 %  map 1/10  1.0 chunks/s  ETA 9 s",
        "words   20 %  map 2/10  0.7 chunks/s  ETA 12 s",
        "words  100 %  map 10/10  2.5 chunks/s  ETA 0 s",
        "words  100 %  map 10/10  2.0 chunks/s  ETA 0 s  no client is alive",
    ]


def test_a_large_slow_job_says_something_between_the_tenths() -> None:
    lines: list[str] = []
    now = iter([0.0, 5.0, 11.0, 12.0])
    shown = progress.Lines(lines.append, lambda: next(now))
    for accepted in (0, 1, 2, 3):
        stage = StageView(name="map", chunks=1000, issued=accepted, accepted=accepted)
        shown.show(msgspec.structs.replace(job(), stages=[stage]))
    assert [line.split()[3] for line in lines] == ["map", "map"]


def test_on_a_terminal_one_line_moves_and_names_stay_as_they_are() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    shown = progress.display(console)
    shown.show(job(name="[red]words[/red]", accepted=5))
    shown.note("no answer; still asking")
    shown.close()
    shown.close()
    assert isinstance(shown, progress.Bar)
    assert "[red]words[/red]" in console.file.getvalue()  # type: ignore[attr-defined]
