"""What was measured, asked for over HTTP: how a job speeds up, and how busy a client's machine was."""

from collections.abc import Iterator
from xml.etree import ElementTree

import msgspec
import pytest

from dockercomp.protocol.messages import ContainerReport
from dockercomp.protocol.speedup import run_of
from dockercomp.protocol.views import LoadSeries, SpeedupList
from server.sampling import EVERY_S, Sampling, sample_of
from server.store.curves import Curve, curve_id
from tests.integration.people_parts import World, world

KIND = "4 CPUs, x86_64 <Odd> & kind"


@pytest.fixture(scope="module")
def here(mongo_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(mongo_uri, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="module")
def job(here: World) -> str:
    """A job of ada's whose map was measured on two kinds of machine."""
    made = here.master.submit(3, quorum=1)
    for kind, widths in ((KIND, (1, 2, 4)), ("1 CPUs, slow", (1,))):
        points = [run_of(width, 10 * (0.25 + 0.75 / width) * n, 10) for width in widths for n in (0.99, 1, 1.01)]
        by_width = {width: [p for p in points if p.width == width] for width in widths}
        for each in by_width.values():
            for point in each:
                here.store.curves.add([Curve(curve_id(made, 0, kind[0]), made, 0, kind[0], kind, [point])])
    return made


def get(here: World, path: str, person: str = "ada") -> bytes:
    answer = here.call("GET", path, here.callers[person])
    assert answer.status_code == 200, answer.text
    return answer.data


def test_a_job_tells_how_it_speeds_up(here: World, job: str) -> None:
    found = msgspec.json.decode(get(here, f"/api/v1/jobs/{job}/speedup"), type=SpeedupList).speedups
    assert [(view.kind, view.runs, view.law) for view in found] == [(KIND, 9, "amdahl"), ("1 CPUs, slow", 3, "")]
    assert abs(found[0].serial - 0.25) < 0.02
    assert all(low <= at <= high for low, at, high in zip(found[0].low, found[0].speedup, found[0].high, strict=True))


def test_as_a_table_and_as_a_picture_of_one_kind(here: World, job: str) -> None:
    rows = get(here, f"/api/v1/jobs/{job}/speedup?format=csv").decode().splitlines()
    assert len(rows) == 1 + 4 and rows[0].startswith("stage,machine,cpus,runs")
    picture = ElementTree.fromstring(get(here, f"/api/v1/jobs/{job}/speedup?format=svg&kind=1%20CPUs,%20slow"))
    assert "slow" in "".join(picture.itertext())
    assert here.call("GET", f"/api/v1/jobs/{job}/speedup?format=png", here.callers["ada"]).status_code == 400
    assert here.call("GET", f"/api/v1/jobs/{job}/speedup?format=svg&stage=x", here.callers["ada"]).status_code == 404


def test_only_who_sees_the_job_sees_how_it_speeds_up(here: World, job: str) -> None:
    assert here.call("GET", f"/api/v1/jobs/{job}/speedup", here.callers["eve"]).status_code == 404


def test_a_jobs_page_shows_it(here: World, job: str) -> None:
    page = here.browser("ada").get(f"/jobs/{job}").text
    assert "How it speeds up" in page and "&lt;Odd&gt; &amp; kind" in page and "<Odd>" not in page
    assert "25 % of the work is serial" in page and "two widths of one CPU or more are needed" in page


def test_the_load_of_clients_is_sampled_once_a_minute(here: World) -> None:
    volunteer = here.volunteers["client"]
    container = ContainerReport(
        name="n", id="i", job="j", state="running", image="i", cpus_used=0.75, memory_used=64 << 20
    )
    request = msgspec.structs.replace(volunteer.request(0), load=1.5, containers=[container, container])
    volunteer.send(request)
    now = here.store.duties.now()
    sampling = Sampling(here.store, silent_after_s=600)
    assert sampling.round(now) >= 1
    assert sampling.round(now + EVERY_S - 1) == 0
    assert sampling.round(now + EVERY_S) >= 1
    series = msgspec.json.decode(get(here, f"/api/v1/clients/{volunteer.id}/load"), type=LoadSeries)
    assert [(s.load, s.cpus_used, s.memory_used, s.containers) for s in series.samples] == [
        (1.5, 1.5, 128 << 20, 2)
    ] * 2
    assert series.cpus == 4
    for show in ("cpus", "memory"):
        ElementTree.fromstring(get(here, f"/api/v1/clients/{volunteer.id}/load?format=svg&show={show}"))
    assert len(get(here, f"/api/v1/clients/{volunteer.id}/load?format=csv").splitlines()) == 3
    for bad in ("?hours=0", "?hours=169", "?hours=x", "?show=all", "?format=png"):
        assert here.call("GET", f"/api/v1/clients/{volunteer.id}/load{bad}", here.callers["ada"]).status_code == 400
    assert here.call("GET", "/api/v1/clients/nobody/load", here.callers["ada"]).status_code == 404


def test_samples_of_one_client_are_not_those_of_another_and_end(here: World) -> None:
    loads = here.store.loads
    loads.add({"c1": (1000.0, 1.0, 0.0, 0, 0), "c10": (1000.0, 9.0, 0.0, 0, 0)})
    loads.add({"c1": (1000.0 + 3 * 3600, 2.0, 0.0, 0, 0)})
    assert [each[1] for each in loads.of_client("c1", 0)] == [1.0, 2.0]
    assert [each[1] for each in loads.of_client("c1", 1001)] == [2.0]
    indexes = here.store.database["loads"].index_information()
    assert indexes["until"]["expireAfterSeconds"] == 0


def test_whatever_a_client_said_a_sample_is_numbers() -> None:
    odd = {"load": "high", "containers": [None, {"cpus_used": "x", "memory_used": float("nan")}, {"cpus_used": 1e300}]}
    assert sample_of(odd, 5.0) == (5.0, 0.0, 1e12, 0, 0)
    assert sample_of({}, 5.0) == (5.0, 0.0, 0.0, 0, 0)
