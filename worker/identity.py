"""Who this worker is to its master: made once by enrolling, kept in DC_HOME/worker/identity.json (0600)."""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from dockercomp.machine.home import write_private
from dockercomp.protocol.messages import Ceiling, EnrolAnswer, EnrolRequest, Machine


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """`client` is empty until the master has answered; `request` makes enrolling safe to repeat."""

    request: str
    client: str = ""
    secret: str = ""
    master_key: str = ""
    """The one key whose job orders are run."""
    owner: str = ""
    token_digest: str = ""
    """SHA-256 of the enrolment token used: another token in the configuration means to enrol again."""


class WrongMaster(RuntimeError):
    """The master's key is not the one that DC_MASTER_KEY names."""


class NotEnrolled(RuntimeError):
    """There is no identity yet and no token to get one with."""


def _path(home: Path) -> Path:
    return home / "worker" / "identity.json"


def load(home: Path) -> Identity | None:
    """The stored identity; None before the first start, or where the file is not ours to read as one."""
    try:
        return msgspec.json.decode(_path(home).read_bytes(), type=Identity)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def ensure(
    home: Path,
    token: str,
    machine: Machine,
    most: Ceiling,
    enrol: Callable[[EnrolRequest], EnrolAnswer],
    is_pinned: Callable[[str, bool], bool] = lambda key, kept: True,
) -> Identity:
    """The identity, enrolling if there is none or `token` is a new one; `is_pinned` judges its master's key, which
    is shown by the master now or kept from before.

    Raises NotEnrolled, WrongMaster, and what `enrol` raises: Unauthorized for a token that the master does not accept.
    """
    known = load(home)
    digest = hashlib.sha256(token.encode()).hexdigest() if token else ""
    if known and known.client and (not token or digest == known.token_digest):
        _check(known.master_key, is_pinned, kept=True)
        return known
    if not token:
        raise NotEnrolled(
            "this worker is not enrolled and has no enrolment token: set DC_TOKEN in the configuration to the token"
            " that an admin of the master gave you"
        )
    if known is None:
        known = Identity(request=secrets.token_hex(16))
        _store(home, known)
    answer = enrol(EnrolRequest(token=token, machine=machine, ceiling=most, request=known.request))
    _check(answer.master_key, is_pinned, kept=False)
    found = Identity(
        request=known.request,
        client=answer.client,
        secret=answer.secret,
        master_key=answer.master_key,
        owner=answer.owner,
        token_digest=digest,
    )
    _store(home, found)
    return found


def renew(
    home: Path, token: str, machine: Machine, most: Ceiling, enrol: Callable[[EnrolRequest], EnrolAnswer]
) -> Identity | None:
    """Enrol again as the same machine, which a master takes back that retired it for its silence; None without an
    identity or a token. The key whose orders are run stays the one that was accepted.

    Raises what `enrol` raises: Unauthorized where the token is not good any more, or an admin has retired the machine.
    """
    known = load(home)
    if known is None or not token:
        return None
    answer = enrol(EnrolRequest(token=token, machine=machine, ceiling=most, request=known.request))
    found = msgspec.structs.replace(known, client=answer.client, secret=answer.secret, owner=answer.owner)
    _store(home, found)
    return found


def _check(key: str, is_pinned: Callable[[str, bool], bool], *, kept: bool) -> None:
    if not is_pinned(key, kept):
        raise WrongMaster(
            f"the master's key is {key}, which is not the one that DC_MASTER_KEY names: this may be another master, or"
            " somebody who poses as yours; nothing of it is run. Ask its admin for the fingerprint, then set"
            " DC_MASTER_KEY to it"
        )


def _store(home: Path, identity: Identity) -> None:
    write_private(_path(home), msgspec.json.encode(identity))
