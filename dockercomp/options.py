"""What commands of the command line share: options, and a client that is open while they run."""

import functools
from collections.abc import Callable
from typing import Any

import click

from . import known_masters
from .terminal import Session

pass_session = click.make_pass_decorator(Session)


def _note(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def note(context: click.Context, _: click.Parameter, value: Any) -> None:
        if value:
            setattr(context.find_object(Session), field, value)

    return note


json_option = click.option("--json", is_flag=True, expose_value=False, help="Print one JSON document and nothing else.")
_url_option = click.option(
    "--url", metavar="URL", expose_value=False, callback=_note("url"), help="The master's address."
)
_token_option = click.option(
    "--token", metavar="TOKEN", expose_value=False, callback=_note("token"), help="Your API token."
)


def with_client(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that talks to the master: gets the session and an open client before its own arguments."""

    @json_option
    @_url_option
    @_token_option
    @pass_session
    @functools.wraps(command)
    def wrapped(session: Session, /, *args: Any, **options: Any) -> Any:
        with session.client() as client:
            answer = command(session, client, *args, **options)
            known_masters.meet(client.master)
            return answer

    return wrapped
