"""Results over HTTP on a whole master: chunks, files and plots, when the job is done and while it runs."""

import io
import json
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from dockercomp.cli import run
from dockercomp.protocol import bundle
from dockercomp.protocol.errors import Conflict, NotFound, NotPlottable
from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import InputSpec, JobSpec, PlotSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.transport import Connection
from dockercomp.protocol.views import ChunkPage, ChunkView, JobView, ResultFiles, SubmitRequest
from server.store import Store
from tests.integration.masters import RunningMaster, running_master
from tests.integration.simulated import Master, Program, Volunteer
from tests.waiting import wait_until

Submit = Callable[..., str]
Volunteering = Callable[[Program], Volunteer]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("m")) as running:
        yield running


@pytest.fixture(scope="module")
def store(master: RunningMaster) -> Iterator[Store]:
    opened = master.store()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def volunteer(store: Store) -> Callable[[Program], Volunteer]:
    """Makes volunteers on the master's own store."""
    duties = Master(store)
    return duties.volunteer


@pytest.fixture
def submit(master: RunningMaster) -> Iterator[Submit]:
    """Submits jobs over ranges; cancelled at the end of the test, so that no later one gets their chunks."""
    made: list[str] = []

    def one(chunks: int = 3, **changes: object) -> str:
        options: dict[str, object] = {
            "name": "results",
            "image": "i",
            "input": InputSpec(split="range", start=0, stop=chunks, per_chunk=1),
            "map": ProgramSpec(command=["true"]),
            "verify": VerifySpec(policy="none"),
            "reuse": False,
            **changes,
        }
        spec = JobSpec(**options)  # type: ignore[arg-type]
        made.append(master.admin().call("submit", JobView, SubmitRequest(spec=spec)).id)
        return made[-1]

    yield one
    for job in made:
        master.admin().call("job_cancel", JobView, job=job)


def ended(master: RunningMaster, job: str) -> JobView:
    wait_until(lambda: master.admin().call("job", JobView, job=job).state != "running")
    return master.admin().call("job", JobView, job=job)


def files(lease: Lease) -> bytes:
    """What a chunk with several outputs gives: one name that all have, one of its own, one in another script."""
    number = lease.start
    return bundle.pack(
        [
            ("counts.tsv", f"en\t{number}\nde\t1\n".encode()),
            (f"only {number}.txt", b"x" * (number or 0)),
            ("ημέρα/#1.txt", f"{number}".encode()),
        ]
    )


def read(api: Connection, route: str, **parts: object) -> bytes:
    return b"".join(api.read_parts(route, **parts))  # type: ignore[arg-type]


def get(master: RunningMaster, path: str, **options: object) -> requests.Response:
    headers = {"Authorization": f"Bearer {master.admin_token}"}
    return requests.get(master.url + path, headers=headers, timeout=20, **options)  # type: ignore[arg-type]


def test_the_result_of_a_chunk_can_be_had_while_its_job_runs(
    master: RunningMaster, volunteer: Volunteering, submit: Submit
) -> None:
    job, api = submit(), master.admin()
    worker = volunteer(lambda lease: f"{lease.start}\n".encode())
    worker.work(2)
    worker.send(worker.request(0))
    page = api.call("job_chunks", ChunkPage, job=job)
    assert [(chunk.index, chunk.stage, chunk.state, chunk.input) for chunk in page.chunks] == [
        (0, "map", "accepted", "number 0"),
        (1, "map", "accepted", "number 1"),
    ]
    chunk = page.chunks[1].id
    assert read(api, "chunk_result", chunk=chunk) == b"1\n"
    assert api.call("chunk", ChunkView, chunk=chunk).replicas[0].client == worker.id
    with pytest.raises(Conflict):
        read(api, "job_result", job=job)
    (lease,) = worker.send(worker.request(1)).leases
    with pytest.raises(Conflict, match="has no accepted result: it is open"):
        read(api, "chunk_result", chunk=lease.id.split(".", 1)[1].rsplit(".", 1)[0])
    with pytest.raises(NotFound):
        api.call("chunk", ChunkView, chunk=f"{job}.0.000000000099")


def test_files_have_unique_names_in_chunk_order_page_by_page(
    master: RunningMaster, volunteer: Volunteering, submit: Submit
) -> None:
    job, api = submit(map=ProgramSpec(command=["true"], outputs=["**"])), master.admin()
    worker = volunteer(files)
    worker.work(1)
    worker.send(worker.request(0))
    running = api.call("job_files", ResultFiles, job=job)
    assert [(file.name, file.size) for file in running.files] == [
        ("000000000/counts.tsv", 10),
        ("000000000/only 0.txt", 0),
        ("000000000/ημέρα/#1.txt", 1),
    ]
    worker.work(2)
    worker.send(worker.request(0))
    assert ended(master, job).result_files == 9

    listed: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = api.call("job_files", ResultFiles, params={"limit": "4", "cursor": cursor}, job=job)
        assert len(page.files) <= 4
        listed += [file.name for file in page.files]
        cursor = page.next
    assert listed == [
        "000000000/counts.tsv", "only 0.txt", "000000000/ημέρα/#1.txt",
        "000000001/counts.tsv", "only 1.txt", "000000001/ημέρα/#1.txt",
        "000000002/counts.tsv", "only 2.txt", "000000002/ημέρα/#1.txt",
    ]  # fmt: skip
    got = {name: get(master, f"/api/v1/jobs/{job}/file?name={quote(name)}") for name in listed}
    assert [answer.content for answer in got.values()][5:8] == [b"1", b"en\t2\nde\t1\n", b"xx"]
    assert got["000000001/ημέρα/#1.txt"].headers["Content-Disposition"].endswith("filename*=UTF-8''%231%2Etxt")
    with tarfile.open(fileobj=io.BytesIO(get(master, f"/api/v1/jobs/{job}/files.tar").content)) as whole:
        unpacked = {member.name: whole.extractfile(member).read() for member in whole}  # type: ignore[union-attr]
    assert list(unpacked) == listed
    assert unpacked == {name: answer.content for name, answer in got.items()}
    for missing in ("nothing", "000000001/only 1.txt", '"}', "../only 1.txt"):
        assert get(master, f"/api/v1/jobs/{job}/file?name={quote(missing)}").status_code == 404
    assert get(master, f"/api/v1/jobs/{job}/file?name=only%202.txt", stream=True).headers["X-Content-Type-Options"]


def test_a_file_of_a_running_job_is_found_below_its_chunk(
    master: RunningMaster, volunteer: Volunteering, submit: Submit
) -> None:
    job = submit(map=ProgramSpec(command=["true"], outputs=["**"]))
    worker = volunteer(files)
    worker.work(2)
    worker.send(worker.request(0))
    assert get(master, f"/api/v1/jobs/{job}/file?name=000000001/only%201.txt").content == b"x"
    for missing in ("only 1.txt", "000000002/counts.tsv", "000000000/nothing"):
        assert get(master, f"/api/v1/jobs/{job}/file?name={missing}").status_code == 404


def test_a_result_that_is_no_files_says_so(master: RunningMaster, volunteer: Volunteering, submit: Submit) -> None:
    job = submit()
    with pytest.raises(Conflict, match="plain bytes, not files"):
        master.admin().call("job_files", ResultFiles, job=job)


def test_plots_are_drawn_of_what_there_is(master: RunningMaster, volunteer: Volunteering, submit: Submit) -> None:
    plots = [PlotSpec(kind="bar", title="Länder", y_label="n"), PlotSpec(kind="line", y=["3"])]
    job = submit(plots=plots)
    url = f"/api/v1/jobs/{job}/plots"
    early = get(master, f"{url}/1")
    assert early.status_code == 422 and "nothing of its last stage is accepted" in early.json()["detail"]
    worker = volunteer(lambda lease: f"land {lease.start}\t{lease.start}\n".encode())
    worker.work(2)
    worker.send(worker.request(0))
    assert get(master, f"{url}/1?format=csv").text == "x,n\nland 0,0\nland 1,1\n"
    worker.work(1)
    worker.send(worker.request(0))
    ended(master, job)
    answer = get(master, f"{url}/1")
    assert answer.headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    shown = [element.text for element in ET.fromstring(answer.text).iter(f"{SVG}text")]
    assert "Länder" in shown and "land 2" in shown
    again = requests.get(
        f"{master.url}{url}/1",
        headers={"Authorization": f"Bearer {master.admin_token}", "If-None-Match": answer.headers["ETag"]},
        timeout=20,
    )
    assert again.status_code == 304 and not again.content
    with pytest.raises(
        NotPlottable, match="plot 2 cannot be drawn: the result has no column '3'; its columns are 1, 2"
    ):
        master.admin().call("job_plot", object, job=job, number="2")
    assert get(master, f"{url}/3").status_code == 404
    assert get(master, f"{url}/x").status_code == 400
    assert master.admin().call("job", JobView, job=job).plots == 2


def test_the_command_line_saves_plots_and_partial_results(
    master: RunningMaster, volunteer: Volunteering, submit: Submit, tmp_path: Path, capfdbinary: Any
) -> None:
    plots = [PlotSpec(kind="bar"), PlotSpec(kind="line", y=["9"])]
    job = submit(plots=plots)
    worker = volunteer(lambda lease: f"{lease.start}\t{lease.start}\n".encode())
    worker.work(2)
    worker.send(worker.request(0))
    at = ("--url", master.url, "--token", master.admin_token)

    assert run(["results", job, "--partial", *at]) == 0
    assert capfdbinary.readouterr().out == b"0\t0\n1\t1\n"
    assert run(["results", job, "--plots", str(tmp_path / "plots"), *at]) == 0
    told = capfdbinary.readouterr()
    assert told.out.decode().split() == [str(tmp_path / "plots" / f"plot-1.{form}") for form in ("svg", "csv")]
    assert b"has no column '9'" in told.err
    assert (tmp_path / "plots" / "plot-1.csv").read_text() == "x,value\n0,0\n1,1\n"
    assert run(["chunks", job, "--state", "accepted", *at]) == 0
    shown = capfdbinary.readouterr().out.decode()
    assert "map 1" in shown and "number 1" in shown and f"{worker.id} =" in shown


def test_a_plot_takes_the_file_it_names(master: RunningMaster, volunteer: Volunteering, submit: Submit) -> None:
    plots = [PlotSpec(kind="bar", file="counts.tsv"), PlotSpec(kind="bar", file="*.csv")]
    reduce = ReduceSpec(command=["true"], outputs=["**"])
    job = submit(chunks=1, reduce=reduce, plots=plots)
    worker = volunteer(lambda lease: files(lease) if lease.stage == 0 else bundle.pack([("a/counts.tsv", b"z\t1\n")]))

    def done() -> bool:
        worker.work(2)
        return master.admin().call("job", JobView, job=job).state == "completed"

    wait_until(done)
    answer = get(master, f"/api/v1/jobs/{job}/plots/1")
    assert "no file that matches 'counts.tsv'; it has a/counts.tsv" in json.loads(answer.text)["detail"]
    answer = get(master, f"/api/v1/jobs/{job}/plots/2")
    assert "no file that matches '*.csv'" in answer.json()["detail"]
