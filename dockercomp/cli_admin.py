"""The rest of `dockercomp`: images, clients, tokens, the dashboard."""

from collections.abc import Iterator
from pathlib import Path

import click

from . import images
from .cli_people import enrolment
from .client import Client
from .options import with_client
from .progress import sending
from .protocol.views import ClientView, ImageView, LoginLink, TokenRequest
from .terminal import Session


@click.group()
def image() -> None:
    """Images that jobs run in."""


@image.command()
@click.argument("name")
@click.option(
    "--archive", type=click.Path(path_type=Path), help="A `docker save` archive instead of this Docker's image."
)
@with_client
def push(session: Session, client: Client, name: str, archive: Path | None) -> None:
    """Bring an image of this machine's Docker to the master."""
    if archive:
        view = _send(session, client, name, images.describe(archive))
    else:
        session.say(f"saving {name}")
        with images.saved(name) as saved:
            view = _send(session, client, name, saved)
    session.answer(view, lambda: print(f"{view.pin.name} {view.pin.config_digest} {view.pin.platform}"))


def _send(session: Session, client: Client, name: str, archive: images.Archive) -> ImageView:
    session.say(f"sending {archive.size:,} bytes")
    with sending(session.err) as told:
        return client.push_image(name, archive, told=told)


@image.command("pull")
@click.argument("name")
@click.option("--platform", default="linux/amd64", show_default=True, help="Which machines it is for.")
@with_client
def image_pull(session: Session, client: Client, name: str, platform: str) -> None:
    """Have the master pull an image from its registry (registry.example.org/team/tool:1.2, or …@sha256:…).

    The tag is resolved once: jobs run in what it means now. Workers pull it from the registry by digest, and from the
    master where they cannot. The master's own login is used, and each volunteer's own; yours never.
    """
    session.say(f"the master pulls {name}")
    view = client.pull_image(name, platform)
    session.answer(
        view, lambda: print(f"{view.pin.name} {view.pin.config_digest} {view.pin.platform} {view.pin.source}")
    )


@image.command("ls")
@with_client
def image_ls(session: Session, client: Client) -> None:
    """List the images that the master can stream."""
    found = client.images()
    rows = ((each.pin.name, each.pin.platform, f"{each.size:,}", each.pin.config_digest) for each in found)
    empty = "the master has no image yet; push one: dockercomp image push NAME"
    session.answer(found, lambda: session.table(("NAME", "PLATFORM", "BYTES", "CONFIG"), rows, empty))


@click.command()
@with_client
def clients(session: Session, client: Client) -> None:
    """List the machines that lend themselves."""
    found = list(client.clients())
    heads = ("CLIENT", "NAME", "OWNER", "GROUP", "STATE", "CONTAINERS", "GIVEN", "RESULTS", "DOES")
    empty = "no machine lends itself yet; make a token for one: dockercomp enrolment create --owner NAME"
    session.answer(found, lambda: session.table(heads, map(_row, found), empty))


def _row(view: ClientView) -> tuple[str, ...]:
    running = sum(container.state == "running" for container in view.containers)
    return (
        view.id,
        view.name,
        view.owner,
        f"{view.group}{'' if view.follows else ' (not followed)'}" if view.group else "",
        view.state,
        f"{running}/{len(view.containers)} run, {view.allocation.containers} given",
        _reached(view),
        f"{view.results_valid:,} right, {view.results_wrong:,} wrong, {view.results_failed:,} failed",
        "; ".join(_does(view)),
    )


def _reached(view: ClientView) -> str:
    """How far what it is given has come, in a word."""
    progress = view.progress
    if progress is None:
        return ""
    states = [part.state for part in progress.parts]
    for state in ("failed", "waiting"):
        if state in states:
            return state
    if progress.verified_s_ago is not None:
        return "verified"
    return "applied" if progress.applied_s_ago is not None else states[0] if states else ""


def _does(view: ClientView) -> Iterator[str]:
    if view.marked:
        yield f"marked: {view.marked}"
    yield from view.problems
    if view.old:
        yield f"its worker is of version {view.machine.worker if view.machine else ''}, not the master's"
    if view.status and not view.marked:
        yield view.status


@click.group(hidden=True)
def token() -> None:
    """What `enrolment` was called before."""


@enrolment.command()
@click.option("--owner", required=True, help="Whose machines these are; their results never verify each other alone.")
@click.option("--uses", type=click.IntRange(1), default=100, show_default=True, help="Machines that may enrol.")
@click.option("--days", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Valid so long.")
@click.option("--trusted", is_flag=True, help="One result of these machines decides (your own machines).")
@with_client
def create(session: Session, client: Client, owner: str, uses: int, days: float, trusted: bool) -> None:
    """Make an enrolment token and the one command that a volunteer runs."""
    request = TokenRequest(owner=owner, uses=uses, valid_hours=days * 24, trusted=trusted)
    answer = client.enrolment_token(request)
    session.answer(answer, lambda: print(answer.command))


token.add_command(create)


@click.command("login-link")
@with_client
def login_link(session: Session, client: Client) -> None:
    """Make a one-time link into the dashboard."""
    link = client.login_link()
    session.answer(LoginLink(link=link), lambda: print(link))


COMMANDS = (image, clients, token, login_link)
