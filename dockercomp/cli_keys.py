"""`dockercomp key`: the keys that a scientist signs jobs with."""

import click

from . import keys
from .client import Client
from .options import with_client
from .protocol.errors import NotFound
from .protocol.scientists import KeyList, KeyView
from .protocol.signing import public_key
from .terminal import Session


@click.group()
def key() -> None:
    """Keys that sign your jobs; volunteers can demand them. The first submission from a machine makes its key."""


@key.command("list")
@click.option("--all", "everybody", is_flag=True, help="Everybody's, for those who see all jobs.")
@with_client
def list_keys(session: Session, client: Client, everybody: bool) -> None:
    """List the keys registered as yours, and which of them is this machine's."""
    found = client.master.call("scientist_keys", KeyList, params={"all": "yes"} if everybody else None).keys
    path = keys.place(client.master.url)
    here = public_key(keys.seed_at(path)) if path and path.exists() else ""
    rows = [
        (
            view.fingerprint,
            view.owner,
            view.label,
            view.created,
            f"revoked {view.revoked}" if view.revoked else "",
            str(path) if view.key == here else "",
        )
        for view in found
    ]
    heads = ("FINGERPRINT", "OWNER", "MACHINE", "MADE", "STATE", "KEPT IN")
    empty = "no key is registered yet; the next submission makes one"
    session.answer(found, lambda: session.table(heads, rows, empty))


@key.command()
@click.argument("fingerprint")
@with_client
def revoke(session: Session, client: Client, fingerprint: str) -> None:
    """Take nothing more that this key signs: its FINGERPRINT, or enough of its beginning. Jobs that run go on."""
    view = client.master.call("scientist_key_revoke", KeyView, key=_one(client, fingerprint).key)
    session.answer(view, lambda: print(f"{view.fingerprint} is revoked; the jobs that it signed go on until they end"))


def _one(client: Client, beginning: str) -> KeyView:
    """Raises NotFound where no key, or more than one, begins so."""
    wanted = "sha256:" + beginning.removeprefix("sha256:").lower()
    known = client.master.call("scientist_keys", KeyList, params={"all": "yes"}).keys
    found = [view for view in known if view.fingerprint.startswith(wanted) or view.key == beginning]
    if len(found) != 1:
        many = f"{len(found)} keys begin" if found else "no key of yours begins"
        raise NotFound(f"{many} with {beginning}; `dockercomp key list` names them")
    return found[0]


COMMANDS = (key,)
