"""The dashboard's rules: how a change is followed, what is measured, how things are worded, where a login leads."""

import pytest
from flask import Flask
from flask_login import LoginManager, current_user
from msgspec.structs import replace

from dockercomp.protocol.errors import InvalidAllocation, Unavailable
from dockercomp.protocol.messages import Allocation, Ceiling
from dockercomp.protocol.views import AllocationChange, ClientView, GroupChange, GroupRule, PartProgress, Progress
from server.allocations import allocation_violations, check_allocation, first_allocation
from server.dashboard import differences, doors, headers, refusals, way, wording
from server.dashboard.allocation import patterns, words
from server.dashboard.group_form import GroupForm, gives, ruled
from server.dashboard.rate import measure

MIB = 2**20
CEILING = Ceiling(containers=4, cpus=3, memory=4 << 30)
PARTS = [
    PartProgress(part="containers", state="verified", wanted="2 containers", actual="2 containers"),
    PartProgress(part="cpus", state="verified", wanted="1.5 CPUs each", actual="1.5 CPUs each"),
    PartProgress(part="disk", state="applied", wanted="as the volunteer allows"),
]
VERIFIED = Progress(
    version=2,
    author="ada",
    wanted_s_ago=20.0,
    sent_s_ago=19.5,
    received_s_ago=19.0,
    applied_s_ago=18.5,
    verified_s_ago=18.0,
    parts=PARTS,
)
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
    allocation=Allocation(version=2, containers=2, cpus=1.5, memory=512 * MIB),
    applied=None,
    containers=[],
    progress=VERIFIED,
)
SENT = replace(VERIFIED, received_s_ago=None, applied_s_ago=None, verified_s_ago=None)


def on_the_way(way: Progress, **part: str) -> ClientView:
    """The client with that progress, the second of its parts changed."""
    parts = [PARTS[0], replace(PARTS[1], **part), PARTS[2]]  # type: ignore[arg-type]
    return replace(CLIENT, progress=replace(way, parts=parts))


def states(client: ClientView) -> list[str]:
    return [step.state for step in way.steps(client)]


def test_a_change_that_came_all_the_way() -> None:
    assert [(step.name, step.text) for step in way.steps(CLIENT)] == [
        ("Sent", "0.5 s later"),
        ("Received", "1 s later"),
        ("Applied", "1.5 s later"),
        ("Verified", "2 s later"),
    ]
    assert states(CLIENT) == ["done"] * 4
    assert way.settled(CLIENT) and way.reached(VERIFIED)[0] == "verified"


def test_a_change_is_followed_step_by_step() -> None:
    wanted = on_the_way(replace(SENT, sent_s_ago=None), state="wanted")
    assert states(wanted) == ["now", "later", "later", "later"]
    assert states(on_the_way(SENT, state="sent")) == ["done", "now", "later", "later"]
    received = replace(SENT, received_s_ago=19.0)
    assert states(on_the_way(received, state="received")) == ["done", "done", "now", "later"]
    waiting = on_the_way(received, state="waiting", why="the chunk's end")
    assert states(waiting) == ["done", "done", "now", "later"]
    assert way.steps(waiting)[2].text == "waiting: CPUs"
    for client in (wanted, waiting):
        assert not way.settled(client)


def test_a_part_that_failed_is_never_called_verified() -> None:
    failed = on_the_way(replace(SENT, received_s_ago=19.0), state="failed", why="Docker's words")
    assert states(failed) == ["done", "done", "problem", "problem"]
    assert way.steps(failed)[2].text == "failed: CPUs"
    assert way.reached(failed.progress)[0] == "failed"
    assert way.settled(failed), "the page need not look each second for what is refused"


def test_where_nothing_can_be_read_back_it_is_applied_and_no_more() -> None:
    applied = on_the_way(replace(SENT, received_s_ago=19.0, applied_s_ago=18.0), state="applied")
    assert states(applied) == ["done", "done", "done", "later"]
    assert way.settled(replace(applied, progress=replace(applied.progress, parts=PARTS[2:])))  # type: ignore[type-var]


def test_a_silent_client_is_waited_for() -> None:
    waiting = on_the_way(replace(SENT, sent_s_ago=None), state="wanted")
    first, *others = way.steps(replace(waiting, state="silent", seen_s_ago=90))
    assert first.state == "problem" and {step.state for step in others} == {"later"}
    assert first.text == "the client is silent, last heard of 1 min ago; it gets this when it is back"


def test_what_came_about_much_later_tells_when() -> None:
    drifted = replace(VERIFIED, wanted_s_ago=90_000.0, sent_s_ago=89_999.0, verified_s_ago=120.0)
    assert [step.text for step in way.steps(replace(CLIENT, progress=drifted))][0::3] == ["1 s later", "2 min ago"]


def test_differences_are_told_field_by_field() -> None:
    first = Allocation(version=1, containers=4, cpus=1.0, memory=1 << 30)
    second = replace(first, version=2, containers=2, cpus=1.5, jobs=["a-*", "b"], paused=True)
    assert differences.between(first, second) == [
        "containers 4 → 2",
        "CPUs each 1 → 1.5",
        "jobs all → a-*, b",
        "paused no → yes",
    ]
    assert differences.between(None, first) == ["containers 4", "CPUs each 1", "memory each 1 GiB"]
    assert differences.between(first, replace(first, version=2)) == []


def test_a_rule_and_what_a_group_gives_are_told_in_words() -> None:
    rule = GroupRule(tags=["gpu", "lab-3"], owner="physics", least_cpus=8)
    assert ruled(rule) == "tagged gpu and lab-3, of physics, with at least 8 CPUs"
    assert ruled(GroupRule()) == "every client"
    assert gives(GroupChange(rule=rule)) == "100 % of its ceiling, in as many containers as fit"
    change = GroupChange(rule=rule, share=0.5, containers=2, cpus=1.5, paused=True)
    assert gives(change) == "50 % of its ceiling, in 2 containers of 1.5 CPUs; paused"


@pytest.mark.parametrize("typed", ["", None, " ", ",, ,"])
def test_nothing_typed_is_no_words(typed: str | None) -> None:
    assert words(typed) == []


def test_words_are_parted_by_commas_and_spaces_and_named_once() -> None:
    assert words("gpu, lab-3\tgpu\n b") == ["gpu", "lab-3", "b"]


def test_patterns_of_jobs_keep_the_spaces_in_their_names() -> None:
    """What is saved with nothing typed must be what it was."""
    assert patterns("my genome *, pi,, pi ") == ["my genome *", "pi"] and patterns(None) == []


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


def test_a_groups_form_sent_as_it_stands_changes_nothing(app: Flask) -> None:
    """Though it shows sizes and shares rounded."""
    app.config["WTF_CSRF_ENABLED"] = False
    rule = GroupRule(tags=["gpu"], least_cpus=1.5, least_memory=(100 << 20) + 1)
    group = GroupChange(rule=rule, share=1 / 3, memory=(200 << 20) + 1, cpus=0.75, disk=(3 << 30) + 1, jobs=["my *"])
    with app.test_request_context():
        sent = {each.name: each.data for each in GroupForm.of(group, 1) if each.data not in (None, False)}
    with app.test_request_context(method="POST", data=sent):
        assert GroupForm().change(group) == group
    with app.test_request_context(method="POST", data=sent | {"share": "50", "memory": "", "least_memory": "2"}):
        changed = replace(group, share=0.5, memory=None, rule=replace(rule, least_memory=2 << 30))
        assert GroupForm().change(group) == changed


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
