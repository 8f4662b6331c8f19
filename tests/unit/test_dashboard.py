"""The dashboard's rules: how a change is followed, what is measured, how things are worded, where a login leads."""

import pytest
from flask import Flask
from flask_login import LoginManager, current_user
from msgspec.structs import replace

from dockercomp.protocol.errors import InvalidAllocation, Unavailable
from dockercomp.protocol.messages import Allocation, AppliedAllocation, Ceiling, ContainerReport
from dockercomp.protocol.views import AllocationChange, ClientView
from server.dashboard import doors, headers, refusals, wording
from server.dashboard.allocation import settled, way
from server.dashboard.rate import measure
from server.enrolment import allocation_violations, check_allocation, first_allocation

MIB = 2**20
CEILING = Ceiling(containers=4, cpus=3, memory=4 << 30)
CONTAINER = ContainerReport(
    name="dc-1",
    id="1",
    job="j1",
    state="running",
    image="i",
    cpus_planned=1.5,
    cpus_limit=1.5,
    memory_planned=576 * MIB,
    memory_limit=576 * MIB,
    read_from="cgroup v1",
)
APPLIED = AppliedAllocation(version=2, containers=1, cpus=1.5, memory=512 * MIB, verified=True)
CLIENT = ClientView(
    id="c1",
    name="pc",
    owner="lab",
    address="192.0.2.1",
    state="alive",
    seen_s_ago=1,
    status="",
    machine=None,
    ceiling=CEILING,
    allocation=Allocation(version=2, containers=1, cpus=1.5, memory=512 * MIB),
    applied=APPLIED,
    containers=[CONTAINER],
)


def states(client: ClientView) -> list[str]:
    return [step.state for step in way(client)]


def test_a_change_that_came_all_the_way() -> None:
    steps = way(CLIENT)
    assert [step.text for step in steps] == [
        "1 container, 1.5 CPUs and 512 MiB",
        "1 container, 1.5 CPUs and 512 MiB",
        "1 of 1 containers: 1.5 CPUs and 576 MiB with scratch (cgroup v1)",
    ]
    assert settled(steps)


def test_a_change_is_followed_step_by_step() -> None:
    assert states(replace(CLIENT, applied=None)) == ["done", "now"]
    assert states(replace(CLIENT, applied=replace(APPLIED, version=1))) == ["done", "now"]
    assert states(replace(CLIENT, applied=replace(APPLIED, verified=False))) == ["done", "done", "now"]
    assert states(replace(CLIENT, containers=[])) == ["done", "done", "done"]
    assert not settled(way(replace(CLIENT, applied=None)))


@pytest.mark.parametrize(
    ("container", "says"),
    [
        (replace(CONTAINER, cpus_limit=1.0), "dc-1: 1 CPUs, planned 1.5"),
        (replace(CONTAINER, memory_limit=512 * MIB), "dc-1: 512 MiB, planned 576 MiB"),
        (replace(CONTAINER, cpus_limit=None), "dc-1: its limits could not be read"),
    ],
)
def test_a_container_that_reads_back_otherwise_is_never_called_done(container: ContainerReport, says: str) -> None:
    last = way(replace(CLIENT, containers=[CONTAINER, container]))[-1]
    assert (last.state, last.text) == ("problem", says)


def test_a_silent_client_is_waited_for() -> None:
    silent = replace(CLIENT, state="silent", seen_s_ago=90, containers=[])
    assert states(silent) == ["done", "done", "problem"]
    step = way(replace(silent, applied=None))[-1]
    assert step.text == "waiting: the client is silent, last heard of 1 min ago; it gets this when it is back"


def test_the_rate_looks_back_over_a_window() -> None:
    rate, carried = measure("", 100.0, 50)
    assert rate is None
    rate, carried = measure(carried, 102.0, 70)
    assert rate == 10
    rate, carried = measure(carried, 110.0, 150)
    assert rate == 10
    rate, carried = measure(carried, 112.0, 150)
    assert rate == pytest.approx(100 / 12)
    rate, carried = measure(carried, 117.0, 150)
    assert rate == pytest.approx(100 / 17)
    rate, carried = measure(carried, 118.0, 150)
    assert rate == 0


@pytest.mark.parametrize("carried", ["x", "1:2:3", "200:1", "99:60", "1e400:1", "nan:1", ","])
def test_a_carried_count_that_makes_no_sense_is_forgotten(carried: str) -> None:
    assert measure(carried, 100.0, 50)[0] is None


def test_words_for_sizes_times_and_numbers() -> None:
    assert [wording.size(n) for n in (None, 0, 53, 1023, 512 * MIB, 1020 * MIB, 1.5 * 2**30)] == [
        "—", "0 B", "53 B", "1023 B", "512 MiB", "1020 MiB", "1.5 GiB",
    ]  # fmt: skip
    assert [wording.cpus(n) for n in (None, 0, 0.333, 1.0, 1.5, 10.0)] == ["—", "0", "0.33", "1", "1.5", "10"]
    assert [wording.ago(n) for n in (3, 31, 90, 7300, 90_000)] == [
        "just now", "30 s ago", "1 min ago", "2 h ago", "1 d ago",
    ]  # fmt: skip
    assert [wording.seconds(n) for n in (0.25, 42, 150, 3600, 9000, 200_000)] == [
        "0.25 s", "42 s", "2.5 min", "60 min", "2.5 h", "2.3 d",
    ]  # fmt: skip
    assert wording.between((118, 305)) == "about 2 min to 5.1 min" and wording.between((14, 14)) == "about 10 s"
    assert [wording.number(n) for n in (0, 1.25, 336_776, 5_000_000)] == ["0", "1.2", "336,776", "5,000,000"]


@pytest.mark.parametrize("cpus", [float("nan"), float("inf"), -1.0, 0.0, 3.1])
@pytest.mark.parametrize("containers", [0, 1])
def test_cpus_that_are_not_possible_are_refused(cpus: float, containers: int) -> None:
    change = AllocationChange(containers=containers, cpus=cpus, memory=64 * MIB)
    assert [field for field, _ in allocation_violations(change, CEILING)] == ["cpus"]
    with pytest.raises(InvalidAllocation):
        check_allocation(change, CEILING)


@pytest.mark.parametrize(("containers", "cpus"), [(3, 2.0), (7, 1.0), (1, 4.0), (6, 4.0)])
def test_the_first_allocation_is_within_the_ceiling(containers: int, cpus: float) -> None:
    ceiling = Ceiling(containers=containers, cpus=cpus, memory=(1 << 30) + 1)
    given = first_allocation(ceiling)
    change = AllocationChange(containers=given.containers, cpus=given.cpus, memory=given.memory)
    assert list(allocation_violations(change, ceiling)) == []


@pytest.fixture
def app() -> Flask:
    """The dashboard's doors in an application whose store cannot be reached."""
    app = Flask("server", static_folder="dashboard/static", template_folder="dashboard/templates")
    app.secret_key = "k"

    def unreachable(name: str) -> None:
        raise Unavailable("MongoDB cannot be reached")

    LoginManager(app).user_loader(unreachable)
    from flask import Blueprint

    pages = Blueprint("overview", __name__)
    pages.add_url_rule("/", "overview", lambda: str(current_user.is_authenticated))
    refusals.answer_as_pages(pages)
    app.register_blueprint(pages)
    app.after_request(headers.harden)
    return app


def test_a_lost_store_is_said_on_a_page(app: Flask) -> None:
    browser = app.test_client()
    with browser.session_transaction() as session:
        session["_user_id"] = "admin"
    answer = browser.get("/")
    assert answer.status_code == 503 and b"MongoDB cannot be reached" in answer.data
    assert answer.headers["Content-Security-Policy"] == headers.POLICY


@pytest.mark.parametrize(
    "wanted", ["//e.example", "https://e.example", "/\\e.example", "\\\\e", "e", "", "/a\nb", "/%0d"]
)
def test_a_login_leads_only_to_this_site(app: Flask, wanted: str) -> None:
    with app.test_request_context():
        target = doors.safe_target(wanted)
    assert target in ("/", "/%0d")


def test_a_login_leads_to_the_page_that_was_asked_for(app: Flask) -> None:
    with app.test_request_context():
        assert doors.safe_target("/clients?after=c1") == "/clients?after=c1"
