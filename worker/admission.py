"""Which job orders this worker runs: signed by its master, pinned to an image, made for its platform. Pure."""

import re

import msgspec

from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import ORDER_VERSION, JobOrder, decode_order
from dockercomp.protocol.signing import order_is_genuine

_PIN = re.compile(r"^sha256:[0-9a-f]{64}$")
_DIGEST = re.compile(r"^([0-9a-f]{64})?$")
_JOB = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")


class Refused(ValueError):
    """This worker does not run the job; the message says why, for the scientist."""


def admit(signed: SignedOrder, master_key: str, platform: str) -> JobOrder:
    """The order, if it may be run here. Raises Refused."""
    if not order_is_genuine(signed, master_key):
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
    return order
