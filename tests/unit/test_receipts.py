"""Receipts as bytes: trees of records, signatures that any change breaks, chains of keys."""

import hashlib
import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from dockercomp.protocol import keychain, merkle, receipts
from dockercomp.protocol.orders import ImagePin, VerifySpec
from dockercomp.protocol.receipts import BadReceipt, ChunkReceipt, ChunkRecord, Master
from dockercomp.protocol.signing import public_key, sign_order
from server import record_blocks
from server.manifests import Manifest, pack

SEED, NEXT, LAST, OTHER = b"1" * 32, b"2" * 32, b"3" * 32, b"4" * 32
A, B, C, X = map(public_key, (SEED, NEXT, LAST, OTHER))


def by_definition(hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if len(hashes) == 1:
        return hashes[0]
    cut = 2 ** math.ceil(math.log2(len(hashes)) - 1)
    return merkle.node(by_definition(hashes[:cut]), by_definition(hashes[cut:]))


def records(count: int) -> list[bytes]:
    return [f'{{"chunk":{number}}}'.encode() for number in range(count)]


# --- trees -----------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.data())
@settings(max_examples=200, deadline=None)
def test_a_path_leads_from_its_own_leaf_to_the_root_and_from_no_other(count: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf(record) for record in records(count)]
    place, other = data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, count - 1))
    top, path = merkle.root(hashes), merkle.path(hashes, place)
    assert top == by_definition(hashes)
    assert merkle.leads_to(hashes[place], place, count, path, top)
    assert merkle.leads_to(hashes[other], place, count, path, top) == (other == place)
    assert merkle.leads_to(hashes[place], other, count, path, top) == (other == place)
    assert not merkle.leads_to(hashes[place], place, count, [*path, top], top)
    for wrong in range(len(path)):
        changed = [*path[:wrong], merkle.leaf(b"else"), *path[wrong + 1 :]]
        assert not merkle.leads_to(hashes[place], place, count, changed, top)


@given(st.integers(1, 500), st.data())
@settings(max_examples=60, deadline=None)
def test_blocks_of_records_are_subtrees(count: int, data: st.DataObject) -> None:
    made = list(record_blocks.blocks(records(count)))
    index = Manifest(pack((block.root.hex(), len(block.packed)) for block in made)[0])
    stored = b"".join(block.packed for block in made)
    top = by_definition([merkle.leaf(record) for record in records(count)])
    assert merkle.root(record_blocks.roots(index)) == top
    place = data.draw(st.integers(0, count - 1))
    start, stop = record_blocks.span(index, place)
    block = record_blocks.records(stored[start:stop])
    record = block[place % record_blocks.GROUP]
    assert record == records(count)[place]
    assert merkle.leads_to(merkle.leaf(record), place, count, record_blocks.path(index, block, place), top)


# --- signatures ------------------------------------------------------------------------------------------------------


def a_receipt() -> ChunkReceipt:
    record = ChunkRecord(
        job="j1", chunk="j1.0.0", stage="map", index=0, basis="quorum", quorum=2, output_digest="a" * 64, output_size=3
    )
    raw = receipts.encode_record(record)
    hashes = [merkle.leaf(raw), merkle.leaf(b"another")]
    return ChunkReceipt(
        master=Master(url="https://dc.example.org", key=A),
        image=ImagePin(name="i", config_digest="sha256:" + "1" * 64, platform="linux/amd64"),
        order="b" * 64,
        rules=receipts.written_out(VerifySpec()),
        record=raw.decode(),
        records=merkle.root(hashes).hex(),
        chunks=2,
        path=[hashes[1].hex()],
    )


def test_a_receipt_is_read_as_it_was_signed_and_signing_it_again_gives_the_same_bytes() -> None:
    raw = receipts.sign(a_receipt(), SEED)
    envelope = receipts.opened(raw)
    assert (receipts.read(envelope), envelope.key) == (a_receipt(), A)
    assert receipts.record_of(a_receipt()).output_digest == "a" * 64
    assert receipts.sign(a_receipt(), SEED) == raw


def test_every_single_byte_matters() -> None:
    raw = receipts.sign(a_receipt(), SEED)
    for place in range(len(raw)):
        for other in {raw[place] ^ 1, raw[place] ^ 0x20, raw[place] ^ 0x80, 0x20, 0x0A} - {raw[place]}:
            with pytest.raises(BadReceipt):
                receipts.opened(raw[:place] + bytes([other]) + raw[place + 1 :])


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_nothing_can_be_put_into_a_receipt(place: int, more: bytes) -> None:
    raw = receipts.sign(a_receipt(), SEED)
    with pytest.raises(BadReceipt):
        receipts.opened(raw[: place % (len(raw) + 1)] + more + raw[place % (len(raw) + 1) :])


def test_a_receipt_that_is_cut_off_says_so() -> None:
    raw = receipts.sign(a_receipt(), SEED)
    for stop in range(len(raw) - 2):
        with pytest.raises(BadReceipt, match=r"cut off|changed"):
            receipts.opened(raw[:stop])
    with pytest.raises(BadReceipt, match="cut off"):
        receipts.opened(raw[: len(raw) // 2])


def test_what_is_no_receipt_is_refused_whatever_it_is() -> None:
    for raw in (b"", b"{}", b"[]", b"\xff}", b'{"format":"dockercomp receipt v2"}', b"hello }"):
        with pytest.raises(BadReceipt):
            receipts.opened(raw)


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace") + b"}"))
@settings(max_examples=500, deadline=None)
def test_whatever_bytes_come_they_are_refused_in_words(raw: bytes) -> None:
    with pytest.raises(BadReceipt):
        receipts.opened(raw)


def signed_by_a_stranger(body: bytes) -> receipts.Envelope:
    key = SigningKey(OTHER)
    return receipts.Envelope(body=body.decode(), key=X, signature=key.sign(receipts.DOMAIN + body).signature.hex())


def test_what_a_stranger_signed_is_read_without_harm() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for body in (
        b"{}",
        b"[]",
        b'{"kind":"else"}',
        b'{"kind":"job","verification":{"estimated_error":{"a":%b}}}' % deep,
    ):
        with pytest.raises(BadReceipt, match="cannot read"):
            receipts.read(signed_by_a_stranger(body))


def test_a_signature_for_something_else_is_none() -> None:
    """An order's signature over the same bytes must not pass for a receipt's."""
    body = receipts.opened(receipts.sign(a_receipt(), SEED)).body
    order = sign_order("j1", body.encode(), SEED)
    forged = receipts.Envelope(body=body, key=A, signature=order.signature.hex())
    with pytest.raises(BadReceipt, match="changed"):
        receipts.opened(msgspec.json.encode(forged) + b"\n")


def test_a_receipt_that_names_another_key_than_its_signer_is_refused() -> None:
    with pytest.raises(BadReceipt, match="another key"):
        receipts.read(receipts.opened(receipts.sign(a_receipt(), OTHER)))


def test_a_record_must_be_in_the_tree() -> None:
    for change in ({"place": 1}, {"chunks": 3}, {"path": []}, {"path": ["xy"]}, {"records": "0" * 64}):
        with pytest.raises(BadReceipt):
            receipts.record_of(msgspec.structs.replace(a_receipt(), **change))


@given(st.lists(st.tuples(st.text(), st.integers(0, 9), st.binary(max_size=4)), max_size=20), st.randoms())
def test_the_digest_of_files_does_not_depend_on_their_order_but_on_all_else(files: list[tuple], random) -> None:  # type: ignore[no-untyped-def, type-arg]
    def digest(of: list[tuple]) -> str:  # type: ignore[type-arg]
        return receipts.files_digest(
            [receipts.file_hash(name, size, hashlib.sha256(data).hexdigest()) for name, size, data in of]
        )

    shuffled = random.sample(files, len(files))
    assert digest(files) == digest(shuffled)
    assert digest([*files, ("new", 1, b"x")]) != digest(files)


# --- chains of keys --------------------------------------------------------------------------------------------------


def test_a_chain_leads_forward_and_back_from_any_of_its_keys() -> None:
    links = [keychain.link(SEED, NEXT, "t1"), keychain.link(NEXT, LAST, "t2")]
    assert keychain.successors(A, links) == [A, B, C]
    assert keychain.successors(B, links) == [B, C]
    assert keychain.predecessors(C, links) == [B, A]
    assert keychain.kin(B, links) == {A, B, C}
    assert keychain.kin(X, links) == {X}


def test_a_step_that_one_side_did_not_sign_is_not_taken_on_that_sides_word() -> None:
    genuine = keychain.link(SEED, NEXT, "t")
    thief = keychain.link(OTHER, NEXT, "t")
    stolen = msgspec.structs.replace(genuine, by_old=thief.by_old)
    assert keychain.successors(A, [stolen]) == [A]
    assert keychain.predecessors(B, [stolen]) == [A], "the new key's signature still stands"
    assert keychain.predecessors(B, [msgspec.structs.replace(genuine, by_new=thief.by_old)]) == []
    for broken in ("", "{}", '{"old":1}', "\ud800"):
        assert keychain.kin(A, [msgspec.structs.replace(genuine, statement=broken)]) == {A}
    for bad in ("", "zz", "00"):
        assert keychain.successors(A, [msgspec.structs.replace(genuine, by_old=bad)]) == [A]
