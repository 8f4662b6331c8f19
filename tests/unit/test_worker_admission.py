"""Only signed, pinned orders for this platform are run."""

import msgspec
import pytest

from dockercomp.protocol.messages import SignedOrder
from dockercomp.protocol.orders import (
    ORDER_VERSION,
    ImagePin,
    JobOrder,
    ProgramSpec,
    ResourcesSpec,
    StageOrder,
    encode_order,
)
from dockercomp.protocol.signing import public_key, sign_order
from worker.admission import Refused, admit

SEED, OTHER = bytes(32), bytes([1]) * 32
KEY = public_key(SEED)
ORDER = JobOrder(
    version=ORDER_VERSION,
    job="j1",
    name="count",
    image=ImagePin(name="dockercomp/python", config_digest="sha256:" + "a" * 64, platform="linux/amd64"),
    program="b" * 64,
    split="lines",
    stages=[StageOrder(program=ProgramSpec(command=["cat"]))],
    resources=ResourcesSpec(),
)


def signed(order: JobOrder, seed: bytes = SEED, job: str = "") -> SignedOrder:
    return sign_order(job or order.job, encode_order(order), seed)


def test_a_genuine_order_is_admitted() -> None:
    assert admit(signed(ORDER), KEY, "linux/amd64") == ORDER


def changed(**fields: object) -> JobOrder:
    return msgspec.structs.replace(ORDER, **fields)


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (signed(ORDER, OTHER), "not signed by the master"),
        (msgspec.structs.replace(signed(ORDER), body=encode_order(changed(name="other"))), "not signed by the master"),
        (msgspec.structs.replace(signed(ORDER), signature=b"short"), "not signed by the master"),
        (sign_order("j1", b"{}", SEED), "cannot be read"),
        (signed(changed(version=3)), "of version 3"),
        (signed(ORDER, job="j2"), "made for another job"),
        (signed(changed(job="../j"), job="../j"), "made for another job"),
        (signed(changed(program="../../etc")), "not named by its digest"),
        (signed(changed(image=msgspec.structs.replace(ORDER.image, config_digest="latest"))), "not pinned"),
        (signed(changed(image=msgspec.structs.replace(ORDER.image, platform="linux/arm64"))), "made for linux/arm64"),
    ],
)
def test_others_are_refused_with_the_reason(order: SignedOrder, why: str) -> None:
    with pytest.raises(Refused, match=why):
        admit(order, KEY, "linux/amd64")
