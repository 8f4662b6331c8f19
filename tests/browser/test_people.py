"""People, tokens and the audit log, as admins and everybody else use them in a browser."""

import secrets
from collections.abc import Callable

from playwright.sync_api import Page, expect

from dockercomp.protocol.errors import Unauthorized
from dockercomp.protocol.people import Identity
from dockercomp.protocol.transport import Connection
from tests.browser.conftest import Visitor
from tests.integration.masters import RunningMaster

NEW = "a password of her own"

People = Callable[..., Visitor]


def added(admin: Page, role: str = "scientist") -> tuple[str, str]:
    """A new person: the name, and the link by which a password is chosen."""
    name = f"nia-{secrets.token_hex(3)}"
    admin.get_by_label("Name", exact=True).fill(name)
    admin.get_by_label("Role", exact=True).select_option(role)
    admin.get_by_role("button", name="Add, and make a link").click()
    link = admin.get_by_label(f"With it {name} chooses a password").input_value()
    return name, link


def choose(page: Page, link: str, password: str = NEW) -> None:
    page.goto(link)
    page.get_by_label("New password").fill(password)
    page.get_by_label("The same again").fill(password)
    page.get_by_role("button", name="Set the password and log in").click()


def test_a_new_person_comes_in_by_a_link_sees_nobody_elses_jobs_and_is_removed(
    as_person: People, visitor: People, job: Callable[..., str]
) -> None:
    theirs = job("somebody-elses", chunks=2)
    admin, nia = as_person().open("/people"), visitor()
    nia.watch.expected = ("404", "403", "401")
    name, link = added(admin)
    page = nia.context.new_page()
    choose(page, link)
    expect(page.get_by_role("link", name=f"{name} (scientist)")).to_be_visible()
    page.goto(nia.home + "/jobs")
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.goto(f"{nia.home}/jobs/{theirs}")
    expect(page.get_by_text(f"there is no job {theirs} of yours")).to_be_visible()
    page.goto(nia.home + "/people")
    expect(page.get_by_text("this is for admins")).to_be_visible()

    admin.goto(nia.home + "/people")
    admin.get_by_label(f"Role of {name}").select_option("viewer")
    admin.get_by_role("button", name=f"Change the role of {name}").click()
    page.goto(f"{nia.home}/jobs/{theirs}")
    expect(page.get_by_role("heading", name="somebody-elses")).to_be_visible()

    admin.get_by_text(f"More… for {name}").click()
    admin.get_by_role("button", name=f"Remove {name}").click()
    expect(admin.get_by_text(f"More… for {name}")).to_have_count(0)
    page.goto(nia.home + "/jobs")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_token_is_shown_once_and_ends_where_it_is_revoked(as_person: People, master: RunningMaster) -> None:
    page = as_person("sam").open("/account")
    page.get_by_label("What it is for").fill("laptop")
    page.get_by_label("Its holder may").select_option("look at jobs and results")
    page.get_by_role("button", name="Make a token").click()
    token = page.get_by_label("The token:").input_value()
    connection = Connection(master.url, token, retries=0)
    assert connection.call("identity", Identity).scope == "read"
    page.goto(master.url + "/account")
    assert token not in page.content()
    page.get_by_role("button", name="Revoke laptop").click()
    expect(page.get_by_role("button", name="Revoke laptop")).to_have_count(0)
    try:
        connection.call("identity", Identity)
    except Unauthorized:
        return
    raise AssertionError("a revoked token was taken")


def test_a_new_password_throws_out_all_other_browsers(as_person: People, visitor: People) -> None:
    name, link = added(as_person().open("/people"))
    mine, other = visitor(), visitor()
    other.watch.expected = ("410",)
    page = mine.context.new_page()
    choose(page, link)
    mine.context.storage_state()
    other.context.add_cookies(mine.context.cookies())  # type: ignore[arg-type]
    assert other.open("/account").get_by_role("heading", name="Your account").is_visible()
    page.goto(mine.home + "/account")
    page.get_by_label("Present password").fill(NEW)
    page.get_by_label("New password").fill("yet another password")
    page.get_by_label("The same again").fill("yet another password")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status").filter(has_text="Your password is changed")).to_be_visible()
    expect(other.open("/account").get_by_role("heading", name="Log in")).to_be_visible()
    late = other.context.new_page()
    late.goto(link)
    expect(late.get_by_role("alert")).to_contain_text("has been used")
    assert name


def test_an_enrolment_token_is_listed_and_revoked(as_person: People, master: RunningMaster) -> None:
    owner = f"team-{secrets.token_hex(3)}"
    page = as_person().open("/volunteers")
    page.get_by_label("Owner").fill(owner)
    page.get_by_label("Trusted").check()
    page.get_by_role("button", name="Make an enrolment link").click()
    row = page.get_by_role("row").filter(has_text=owner)
    expect(row).to_contain_text("trusted")
    expect(row).to_contain_text("0 · 10")
    row.get_by_text("Revoke…").click()
    row.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("row").filter(has_text=owner)).to_have_count(0)


def test_the_audit_log_tells_who_changed_what(as_person: People) -> None:
    admin = as_person().open("/people")
    name, _ = added(admin)
    admin.goto(admin.url.replace("/people", f"/audit?subject={name}"))
    row = admin.get_by_role("row").filter(has_text=name)
    expect(row).to_contain_text("person add")
    expect(row).to_contain_text("by session")
    expect(row).to_contain_text("as scientist")
    admin.get_by_label("What", exact=True).select_option("login")
    admin.get_by_role("button", name="Show").click()
    expect(admin.get_by_text("No such entry")).to_be_visible()


def test_viewers_are_offered_nothing_that_they_may_not_do(as_person: People) -> None:
    page = as_person("viola").open("/")
    expect(page.get_by_role("link", name="People")).to_have_count(0)
    expect(page.get_by_role("link", name="Audit")).to_have_count(0)
    page.goto(page.url + "account")
    assert page.get_by_label("Its holder may").locator("option").all_inner_texts() == ["look at jobs and results"]
