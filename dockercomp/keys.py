"""The scientist's signing key: made and registered at the first submission, kept (0600) beside the credentials."""

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from . import credentials
from .machine.home import write_private
from .master import Master
from .protocol.errors import DockercompError, Forbidden, NotFound
from .protocol.ordering import order_of
from .protocol.orders import ImagePin
from .protocol.scientists import KeyRegistration, KeyView
from .protocol.signing import (
    STATEMENT_VERSION,
    Statement,
    encode_statement,
    prove_possession,
    public_key,
    sign_statement,
)
from .protocol.views import SubmitRequest

_SEED = re.compile(r"[0-9a-f]{64}")
_UNSIGNED = "none"


class KeyFileError(DockercompError):
    """The file of the signing key cannot be used; names it and what to do."""


@dataclass(frozen=True)
class SigningKey:
    """A private key and whose it is at one master."""

    seed: bytes
    scientist: str

    def sign(self, request: SubmitRequest, pin: ImagePin, nonce: str) -> SubmitRequest:
        """The request with the scientist's statement of it. `pin` is the image as the master pins it."""
        order = order_of(request.spec, pin, request.program)
        statement = encode_statement(
            Statement(version=STATEMENT_VERSION, scientist=self.scientist, nonce=nonce, order=order)
        )
        return replace(
            request,
            scientist_key=public_key(self.seed),
            statement=statement,
            signature=sign_statement(statement, self.seed),
        )


def place(url: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the key for the master at `url` is kept: $DC_SIGNING_KEY, else beside the credentials file that names this
    master, else beside the user's own. None where DC_SIGNING_KEY=none: jobs are then signed by the master alone."""
    named = environ.get("DC_SIGNING_KEY", "")
    if named:
        return None if named == _UNSIGNED else Path(named)
    known = credentials.file_of(url, environ) or credentials.files(environ)[0]
    return known.with_name("scientist.key")


def signing_key(master: Master, environ: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The key to sign submissions with, made and registered where it is not yet; None where none is wanted.

    Raises KeyFileError, Forbidden (revoked), Conflict (another's).
    """
    path = place(master.url, environ)
    if path is None:
        return None
    seed = seed_at(path)
    key = public_key(seed)
    try:
        known = master.call("scientist_key", KeyView, key=key)
    except NotFound:
        registration = KeyRegistration(proof=prove_possession(seed), label=socket.gethostname()[:100])
        known = master.call("scientist_key_register", KeyView, registration, key=key)
    if known.revoked:
        raise Forbidden(
            f"the signing key in {path} was revoked ({known.fingerprint}): remove the file, and the next submission"
            " makes a new one"
        )
    return SigningKey(seed, known.owner)


def seed_at(path: Path) -> bytes:
    """The private key in the file, made (0600) where there is none; of two who make it at once one wins."""
    try:
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise KeyFileError(f"others can read the signing key {path}: chmod 600 {path}")
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise KeyFileError(
            f"the signing key {path} cannot be kept or read: {error.strerror}; name another place with DC_SIGNING_KEY,"
            " or set DC_SIGNING_KEY=none to submit without a key of your own"
        ) from error
    except UnicodeDecodeError:
        text = ""
    if not _SEED.fullmatch(text):
        raise KeyFileError(f"{path} is not a signing key (64 hex digits): remove it, and a new one is made")
    return bytes.fromhex(text)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    write_private(made, secrets.token_hex(32).encode() + b"\n")
    try:
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(made)
    finally:
        made.unlink()
