"""The human task: people answer in the browser until a quorum agrees, with an account or by a link."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from dockercomp.protocol.orders import InputSpec, ProgramSpec
from tests.browser.conftest import Visitor
from tests.browser.test_results import LOOKS, picture, saved

Person = Callable[..., Visitor]
Job = Callable[..., str]

ENDED = re.compile("Nothing left to ask you|Everything is answered")
PICTURES = {"pets/1.png": picture("#808080"), "pets/2.png": picture("#f0f0f0")}


@pytest.fixture
def asking(job: Job) -> Callable[..., str]:
    """Submits jobs that ask about two pictures."""

    def make(**changes: object) -> str:
        options: dict[str, object] = {
            "image": "",
            "input": InputSpec(split="files"),
            "map": ProgramSpec(question="Which animal is this?", choices=["Cat", "Dog"]),
            "files": PICTURES,
            **changes,
        }
        return job("pets", **options)

    return make


def right(page: Page) -> str:
    """The right answer to what is shown."""
    return "Cat" if page.get_by_text("pets/1.png").count() else "Dog"


def press(page: Page, key: str) -> None:
    page.wait_for_load_state()  # keys need their script
    page.keyboard.press(key)


def link_to(page: Page) -> str:
    page.get_by_role("button", name="Make a link").click()
    return page.get_by_role("textbox").input_value()


def test_two_people_answer_by_button_and_key_until_they_agree(as_person: Person, asking: Job) -> None:
    made = asking()
    first = as_person("sam").open("/tasks")
    first.get_by_role("listitem").filter(has_text="Which animal is this?").get_by_role("link", name="Answer").click()
    shown = first.get_by_role("img", name="Picture that is pets/")
    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("naturalWidth", 30)
    first.get_by_role("button", name=right(first)).click()
    expect(first.get_by_text("you have answered 1")).to_be_visible()
    press(first, "1" if right(first) == "Cat" else "2")
    expect(first.get_by_role("heading", name="Nothing left to ask you")).to_be_visible()
    expect(first.get_by_text("2 must agree on each")).to_be_visible()

    second = as_person("admin").open(f"/tasks/{made}")
    for number in range(2):
        expect(second.get_by_text(f"{number} of 2 agreed on")).to_be_visible()
        second.get_by_role("button", name=right(second)).click()
    # As the last answer came its job may have been seen as completed, or not yet.
    expect(second.get_by_role("heading", name=ENDED)).to_be_visible()

    page = as_person("viola").open(f"/jobs/{made}")
    expect(page.get_by_text("completed")).to_be_visible(timeout=LOOKS)
    assert saved(page, "link", "Download the result")[1] == b"Cat\nDog\n"
    expect(page.get_by_role("row", name="pets/2.png")).to_contain_text("Dog2 of 2")
    _, table = saved(page, "link", "All as CSV")
    assert table == b"file,answer,votes,answers\npets/1.png,Cat,2,2\npets/2.png,Dog,2,2\n"
    page.get_by_role("link", name="pets/1.png").click()
    votes = page.get_by_role("region", name="Replicas").get_by_role("listitem")
    expect(votes).to_have_count(2)
    expect(votes.first).to_contain_text("Cat")


def test_people_without_an_account_answer_by_a_link(as_person: Person, visitor: Person, asking: Job) -> None:
    made = asking(quorum=1)
    address = link_to(as_person("admin").open(f"/jobs/{made}"))
    guest = visitor()
    page = guest.context.new_page()
    page.goto(address)
    expect(page.get_by_role("heading", name="Which animal is this?")).to_be_visible()
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("img", name="Picture that is pets/")).to_be_visible()
    name = page.get_by_text("pets/").inner_text()
    press(page, "0")
    expect(page.get_by_text(name)).to_have_count(0)
    page.get_by_role("button", name="Dog").click()
    expect(page.get_by_text("But for what you skipped.")).to_be_visible()
    page.get_by_role("link", name="Ask me those again").click()
    expect(page.get_by_text(name)).to_be_visible()
    page.get_by_role("button", name="Dog").click()
    expect(page.get_by_text("Thank you!")).to_be_visible()


def test_a_link_that_was_changed_or_is_another_persons_question_lets_nobody_in(
    as_person: Person, visitor: Person, asking: Job
) -> None:
    made = asking()
    address = link_to(as_person("admin").open(f"/jobs/{made}"))
    guest = visitor()
    guest.watch.expected = ("404", "403")
    page = guest.context.new_page()
    page.goto(address[:-4] + "AAAA")
    expect(page.get_by_text("This link is not whole, or has expired")).to_be_visible()
    page.goto(f"{guest.home}/tasks")
    expect(page.get_by_role("heading", name="Log in")).to_be_visible()
    viewer = as_person("viola")
    viewer.watch.expected = ("403",)
    theirs = viewer.open(f"/tasks/{made}")
    expect(theirs.get_by_text("a viewer may look, and answer nothing")).to_be_visible()


def test_free_answers_are_typed(as_person: Person, asking: Job) -> None:
    made = asking(map=ProgramSpec(question="What does it say?"), files={"a.txt": b"<b>Hello 1 & 2</b>"}, quorum=1)
    page = as_person("sam").open(f"/tasks/{made}")
    expect(page.get_by_label("Preview of a.txt")).to_have_text("<b>Hello 1 & 2</b>")
    page.get_by_label("Your answer").fill("hello 102")
    page.keyboard.press("Enter")
    expect(page.get_by_text("you have answered 1")).to_be_visible()
