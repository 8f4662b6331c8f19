"""The Python client against a server that speaks the routes."""

import io
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from dockercomp import inputs, jobfolder, starter
from dockercomp.client import Client
from dockercomp.images import describe
from dockercomp.inputs import Collected, InputError
from dockercomp.job import OutputError
from dockercomp.jobfolder import JobFolder
from dockercomp.protocol import views
from dockercomp.protocol.errors import (
    Busy,
    ChecksumMismatch,
    Conflict,
    Forbidden,
    NotFound,
    Unauthorized,
    Unavailable,
    UnknownImage,
)
from dockercomp.protocol.messages import PART_LIMIT
from tests.unit.fake_api import PIN, TOKEN, FakeMaster, completed, job, serving


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with serving() as found:
        yield found


@pytest.fixture
def client(master: FakeMaster) -> Iterator[Client]:
    with Client(master.url, TOKEN, retries=1) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    starter.create(tmp_path / "words")
    return jobfolder.load(tmp_path / "words")


def local(folder: JobFolder, path: Path) -> Collected:
    return inputs.collect(folder.spec, [path])


def test_submitting_sends_folder_and_inputs_then_the_job(
    client: Client, master: FakeMaster, folder: JobFolder, tmp_path: Path
) -> None:
    path = tmp_path / "große # file.txt"
    path.write_bytes(b"a b\n" * 1000)
    made = client.submit_collected(folder, local(folder, path))
    [(key, request)] = master.submitted
    packed = jobfolder.pack(folder.path, io.BytesIO())
    assert made.id == "j1"
    assert len(key) == 36
    assert request.spec == folder.spec
    assert request.program == packed.digest
    assert [(each.name, each.size) for each in request.inputs] == [("große # file.txt", 4000)]


def test_what_the_master_has_is_not_sent_again(
    client: Client, master: FakeMaster, folder: JobFolder, tmp_path: Path
) -> None:
    found = local(folder, folder.path / "example.txt")
    client.submit_collected(folder, found)
    master.calls.clear()
    client.submit_collected(folder, found)
    assert "blob_put" not in master.calls
    assert master.submitted[0][0] != master.submitted[1][0]


def test_an_upload_goes_on_where_it_stopped(
    client: Client, master: FakeMaster, folder: JobFolder, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (2 * PART_LIMIT // 256) + b"end")
    found = local(folder, path)
    [listed] = found
    master.partial[listed.digest].extend(path.read_bytes()[:PART_LIMIT])
    told: list[tuple[int, int]] = []
    client.submit_collected(folder, found, told=lambda done, total: told.append((done, total)))
    assert master.calls.count("blob_put") == 1 + 2  # the folder; two of the three parts
    assert master.blobs[listed.digest] == path.read_bytes()
    size = 2 * PART_LIMIT + 3
    assert told == [(PART_LIMIT, size), (2 * PART_LIMIT, size), (size, size)]


def test_a_lost_answer_is_asked_for_again_with_the_same_key(
    client: Client, master: FakeMaster, folder: JobFolder
) -> None:
    master.failures += [("submit", Unavailable("the database elects")), ("blob_put", Busy(retry_after=0))]
    client.submit_collected(folder, local(folder, folder.path / "example.txt"), key="once")
    assert master.calls.count("submit") == 2
    assert [key for key, _ in master.submitted] == ["once"]


def test_an_unknown_image_is_noticed_before_anything_is_sent(
    client: Client, master: FakeMaster, folder: JobFolder
) -> None:
    master.images.clear()
    with pytest.raises(UnknownImage, match="dockercomp image push dockercomp/python"):
        client.submit_collected(folder, local(folder, folder.path / "example.txt"))
    assert master.calls == ["images"]
    master.images.append(views.ImageView(pin=replace(PIN, name="dockercomp/pythons"), archive="b" * 64, size=1))
    words = r"job.toml, line 2: image: .*; did you mean 'dockercomp/pythons'\? Else push it first: .* \(it has "
    with pytest.raises(UnknownImage, match=words):
        client.submit_collected(folder, local(folder, folder.path / "example.txt"))


@pytest.mark.parametrize("change", [b"another text of the", b"x", b"the other text"])
def test_an_input_that_changes_meanwhile_is_named(
    client: Client, master: FakeMaster, folder: JobFolder, tmp_path: Path, change: bytes
) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"the first text")
    found = local(folder, path)
    path.write_bytes(change)
    with pytest.raises(InputError, match=r"in\.txt changed while it was being sent"):
        client.submit_collected(folder, found)
    assert master.submitted == []


def test_jobs_and_chunks_are_read_page_by_page(client: Client, master: FakeMaster) -> None:
    master.listed = [job(id=f"j{number}") for number in range(3)]
    assert [view.id for view in client.jobs()] == ["j0", "j1", "j2"]
    assert master.calls == ["jobs"] * 3


def test_following_ends_with_the_job_and_survives_a_restart_of_the_master(client: Client, master: FakeMaster) -> None:
    master.history = [job(accepted=1), job(accepted=5), completed(b"")]
    notes: list[str] = []
    seen = client.job("j1").follow(tell=notes.append)
    states = [next(seen).stages[0].accepted]
    master.failures = [("job", Unavailable("the database elects"))] * 2  # more than one request's retries
    states += [view.stages[0].accepted for view in seen]
    assert states == [1, 5, 10]
    assert notes == ["the database elects; still asking"]


def test_a_master_that_stays_away_is_given_up(
    client: Client, master: FakeMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockercomp.job.PATIENCE_S", 0.0)
    seen = client.job("j1").follow()
    next(seen)
    master.failures = [("job", Unavailable("the database elects"))] * 2
    with pytest.raises(Unavailable, match="the database elects"):
        next(seen)


def test_an_unknown_job(client: Client) -> None:
    with pytest.raises(NotFound, match="there is no job j9"):
        next(client.job("j9").follow())


def test_a_result_is_saved_whole_beside_the_job(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    master.result = b"x" * (PART_LIMIT + 5)
    master.history = [completed(master.result)]
    path = client.job("j1").save(tmp_path / "out" / "deep")
    assert path.read_bytes() == master.result
    assert msgspec.json.decode((path.parent / "job.json").read_bytes())["id"] == "j1"
    assert sorted(each.name for each in path.parent.iterdir()) == ["job.json", "receipt.json", "result"]


def test_an_empty_result_is_a_result(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    master.history = [completed(b"")]
    assert client.job("j1").save(tmp_path).read_bytes() == b""


def test_a_part_damaged_on_the_way_is_fetched_again(client: Client, master: FakeMaster) -> None:
    master.result = b"right"
    master.history = [completed(b"right")]
    arrives = iter([b"wrong", b"right"])
    master.damage = lambda data: next(arrives)
    assert client.job("j1").result() == b"right"


def test_a_result_that_stays_damaged_leaves_nothing(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    master.result = b"right"
    master.history = [completed(b"right")]
    master.damage = lambda data: b"wrong"
    with pytest.raises(ChecksumMismatch):
        client.job("j1").save(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_is_not_the_jobs_leaves_nothing(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    master.result = b"another job's"
    master.history = [completed(b"right")]
    (tmp_path / "result").write_bytes(b"an earlier one")
    with pytest.raises(ChecksumMismatch, match="another SHA-256"):
        client.job("j1").save(tmp_path)
    assert (tmp_path / "result").read_bytes() == b"an earlier one"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("state", "words"), [("running", "still runs; wait for it"), ("failed", "has no result, it is failed: broken")]
)
def test_no_result_says_why(client: Client, master: FakeMaster, state: str, words: str) -> None:
    master.history = [job(state, error="broken")]
    with pytest.raises(Conflict, match=words):
        client.job("j1").result()


def test_a_place_that_cannot_be_written(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    master.history = [completed(b"")]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written to"):
        client.job("j1").save(tmp_path / "file")


def test_an_image_is_uploaded_and_registered(client: Client, master: FakeMaster, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"archive")
    archive = describe(tmp_path / "image.tar")
    assert client.push_image("team/tool:2", archive).pin.name == "team/tool:2"
    assert master.registered[0].archive == archive.digest
    assert master.blobs[archive.digest] == b"archive"


def test_a_wrong_token_and_a_right_one_that_may_not(client: Client, master: FakeMaster) -> None:
    with Client(master.url, "wrong") as other, pytest.raises(Unauthorized):
        other.images()
    master.failures = [("login_link", Forbidden("admins only"))]
    with pytest.raises(Forbidden, match="admins only"):
        client.login_link()


def test_a_master_that_is_not_there() -> None:
    with serving() as gone:
        url = gone.url
    with Client(url, TOKEN, retries=0) as client, pytest.raises(Unavailable, match="Connection refused"):
        client.images()
