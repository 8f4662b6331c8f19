"""Who gets in, by which door, and how often."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORDS, Visitor


def fill_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_link_logs_in_once_only(visitor: Callable[..., Visitor], login_link: Callable[[str], str]) -> None:
    link, first, second = login_link("admin"), visitor(), visitor()
    second.watch.expected = ("410",)
    page = first.context.new_page()
    page.goto(link)
    page.goto(link)  # a look, such as a mail program's preview, does not use it up
    page.get_by_role("button", name="Log in as admin").click()
    expect(page.get_by_text("admin (admin)")).to_be_visible()
    expect(page).to_have_url(first.home + "/")
    late = second.context.new_page()
    answer = late.goto(link)
    assert answer is not None and answer.status == 410
    expect(late.get_by_role("alert")).to_contain_text("has been used")
    late.goto(second.home + "/")
    expect(late.get_by_role("heading", name="Log in")).to_be_visible()


def test_two_that_hold_the_same_link_open_do_not_both_get_in(
    visitor: Callable[..., Visitor], login_link: Callable[[str], str]
) -> None:
    link, first, second = login_link("admin"), visitor(), visitor()
    second.watch.expected = ("410",)
    pages = [each.context.new_page() for each in (first, second)]
    for page in pages:
        page.goto(link)
    for page in pages:
        page.get_by_role("button", name="Log in as admin").click()
    expect(pages[0].get_by_role("button", name="Log out")).to_be_visible()
    expect(pages[1].get_by_role("alert")).to_contain_text("has been used")


@pytest.mark.parametrize(("name", "password"), [("viola", "wrong"), ("nobody", PASSWORDS["viola"]), ("' || 1", "x")])
def test_a_wrong_name_or_password_says_the_same(visitor: Callable[..., Visitor], name: str, password: str) -> None:
    person = visitor()
    person.watch.expected = ("401",)
    page = person.open("/login")
    fill_in(page, name, password)
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    page.goto(person.home + "/clients")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_password_leads_to_the_page_that_was_asked_for_and_logging_out_ends_it(
    visitor: Callable[..., Visitor],
) -> None:
    person = visitor()
    page = person.open("/jobs")
    fill_in(page, "viola", PASSWORDS["viola"])
    expect(page).to_have_url(person.home + "/jobs")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    page.goto(person.home + "/jobs")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "/\\evil.example", "evil.example"])
def test_logging_in_never_leads_to_another_site(
    visitor: Callable[..., Visitor], login_link: Callable[[str], str], target: str
) -> None:
    person = visitor()
    page = person.context.new_page()
    page.goto(f"{login_link('viola')}?next={target}")
    page.get_by_role("button", name="Log in as viola").click()
    expect(page).to_have_url(person.home + "/")


def test_the_login_says_how_to_get_back_in(visitor: Callable[..., Visitor]) -> None:
    page = visitor().open("/login")
    page.get_by_text("No password, or lost it?").click()
    expect(page.get_by_text("server/start --login-link")).to_be_visible()
    expect(page.get_by_text("server/start --reset-password admin")).to_be_visible()


def test_guessing_passwords_is_slowed_down(visitor: Callable[..., Visitor]) -> None:
    person = visitor()
    person.watch.expected = ("401", "429")
    page = person.open("/login")
    for _ in range(100):  # of which so many fall into a minute, on a slow machine too
        fill_in(page, "viola", "guess")
        if page.get_by_role("heading", name="Too many attempts").is_visible():
            return
        expect(page.get_by_role("alert")).to_be_visible()
    raise AssertionError("100 guesses in a row were let through")
