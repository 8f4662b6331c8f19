"""The masters that this user has spoken to, and the keys that they signed with then: kept beside their credentials.

Like ssh's known hosts: the first key seen of a master is noted, and a later one is taken only where it follows from it.
"""

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from . import credentials
from .machine.home import write_private
from .master import Master
from .protocol.errors import DockercompError, Forbidden
from .protocol.keychain import KeyChain, successors
from .protocol.signing import fingerprint

_FILE = "masters.json"


class ChangedKey(Forbidden):
    """A master shows a key that does not follow from the one noted."""


def place(url: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The file in which the master at `url` is noted: beside the credentials that name it, else the user's own."""
    return (credentials.file_of(url, environ) or credentials.files(environ)[0]).with_name(_FILE)


def noted(environ: Mapping[str, str] = os.environ) -> dict[str, KeyChain]:
    """Every master noted, by its address. Raises CredentialsError where a file is none of ours."""
    found: dict[str, KeyChain] = {}
    for path in reversed(credentials.files(environ)):
        found |= _read(path.with_name(_FILE))
    return found


def meet(master: Master, environ: Mapping[str, str] = os.environ) -> KeyChain | None:
    """Note the master's key where none is noted; what is noted then, None where nothing can be."""
    with contextlib.suppress(OSError, DockercompError):
        known = noted(environ).get(master.url)
        return known or _note(master.url, master.call("master_keys", KeyChain), environ)
    return None


def follow(master: Master, environ: Mapping[str, str] = os.environ) -> KeyChain:
    """Ask for the master's key now, and note it. Raises ChangedKey where it does not follow from the one noted, and
    what asking raises."""
    shown, known = master.call("master_keys", KeyChain), noted(environ).get(master.url)
    if known is not None and shown.key not in successors(known.key, shown.links):
        raise ChangedKey(
            f"the master at {master.url} shows another key ({fingerprint(shown.key)}) than the one noted here"
            f" ({fingerprint(known.key)}), and no signature of the old key says so: ask its admin over another way; if"
            f" it was set up anew, remove its entry from {place(master.url, environ)}"
        )
    return _note(master.url, shown, environ)


def _note(url: str, chain: KeyChain, environ: Mapping[str, str]) -> KeyChain:
    path = place(url, environ)
    known = _read(path)
    if known.get(url) != chain:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, msgspec.json.format(msgspec.json.encode({**known, url: chain}), indent=2) + b"\n")
    return chain


def _read(path: Path) -> dict[str, KeyChain]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, KeyChain])
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except msgspec.DecodeError as error:
        raise credentials.CredentialsError(
            f"{path} cannot be read ({error}): remove it, and masters are noted anew"
        ) from error
