"""Which job orders this worker runs: signed as the volunteer demands, pinned to an image, made for its platform,
wanting no more than the volunteer allows. Pure."""

import re
from collections.abc import Collection, Mapping

import msgspec

from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import ORDER_VERSION, JobOrder, decode_order
from dockercomp.protocol.signing import (
    STATEMENT_VERSION,
    Statement,
    decode_statement,
    fingerprint,
    order_is_genuine,
    statement_is_genuine,
    states,
)

from . import consent as consents
from .consent import LOCKED, Consent

_PIN = re.compile(r"^sha256:[0-9a-f]{64}$")
_DIGEST = re.compile(r"^([0-9a-f]{64})?$")
_KEY = re.compile(r"^[0-9a-f]{64}$")
_JOB = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class Refused(ValueError):
    """This worker does not run the job; the message says why, for the scientist."""


def admit(
    signed: SignedOrder,
    master_keys: Collection[str],
    platform: str,
    consent: Consent = LOCKED,
    known: Mapping[str, str] = {},
) -> JobOrder:
    """The order, if it may be run here. Raises Refused.

    `master_keys` are those that this worker accepts; `known` are the scientists met before, each with the key that is
    theirs here.
    """
    if not any(order_is_genuine(signed, key) for key in master_keys):
        raise Refused("the job's order is not signed by the master that this worker enrolled with")
    try:
        order = decode_order(signed.body)
    except msgspec.DecodeError as error:
        raise Refused(f"the job's order cannot be read by this worker: {error}") from error
    if order.version != ORDER_VERSION:
        raise Refused(f"the job's order is of version {order.version}, this worker reads {ORDER_VERSION}")
    if order.job != signed.job or not _JOB.match(order.job):
        raise Refused("the job's order was made for another job")
    if not _PIN.match(order.image.config_digest):
        raise Refused(f"the image {order.image.name} is not pinned to a digest")
    if not _DIGEST.match(order.program):
        raise Refused("the job's program is not named by its digest")
    if order.image.platform != platform:
        raise Refused(f"the image is made for {order.image.platform}, this machine runs {platform}")
    _check_scientist(signed, order, consent, known)
    objection = consents.objection(consent, order)
    if objection:
        raise Refused(objection)
    return order


def statement_of(signed: SignedOrder) -> Statement | None:
    """What the scientist signed; None where no scientist did. Raises Refused where the signature is not genuine."""
    if not (signed.scientist or signed.scientist_key or signed.scientist_signature):
        return None
    key = signed.scientist_key
    if not _KEY.match(key) or not statement_is_genuine(signed.scientist, signed.scientist_signature, key):
        raise Refused("the scientist's signature on the job is not genuine")
    try:
        statement = decode_statement(signed.scientist)
    except msgspec.DecodeError as error:
        raise Refused(f"what the scientist signed cannot be read by this worker: {error}") from error
    if statement.version != STATEMENT_VERSION:
        raise Refused(
            f"what the scientist signed is of version {statement.version}, this worker reads {STATEMENT_VERSION}"
        )
    return statement


def _check_scientist(signed: SignedOrder, order: JobOrder, consent: Consent, known: Mapping[str, str]) -> None:
    statement, key = statement_of(signed), signed.scientist_key
    if statement is None:
        if consent.needs_scientist:
            raise Refused(
                "the job carries no scientist's signature, which this volunteer demands (submitted from the browser?);"
                " submit it with the command line, which signs it"
            )
        return
    if not states(statement, order):
        raise Refused("the job's order is not the one that its scientist signed")
    if not consent.needs_scientist:
        return
    who = f"{statement.scientist} (key {fingerprint(key)})"
    if consent.scientists and not consents.is_listed(consent, statement.scientist, key):
        raise Refused(f"this volunteer does not run the work of {who}; the volunteer can add it to DC_SCIENTISTS")
    if known.get(statement.scientist, key) != key and not consents.is_listed_by_key(consent, key):
        raise Refused(
            f"{who} is known to this volunteer's worker by another key; if the new one is genuine, the volunteer can"
            " add its fingerprint to DC_SCIENTISTS"
        )
