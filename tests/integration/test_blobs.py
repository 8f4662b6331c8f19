"""The BlobStore's conformance suite: every store must pass it."""

import hashlib
import os
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockercomp.protocol.errors import BadRequest, ChecksumMismatch, NotFound
from dockercomp.protocol.messages import PART_LIMIT
from server.store.blobs import BlobStore, DirectoryBlobs, stream

STORES: dict[str, Callable[[Path], BlobStore]] = {"directory": DirectoryBlobs}


@pytest.fixture(params=sorted(STORES))
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return STORES[request.param](tmp_path)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_blob_is_read_back_at_any_place(blobs: BlobStore) -> None:
    data = secrets.token_bytes(3_000_000)
    reader = blobs.open(blobs.put(data))
    assert (reader.size, reader.read_at(1_234_567, 1000)) == (len(data), data[1_234_567:1_235_567])
    assert b"".join(stream(reader)) == data
    assert b"".join(stream(reader, 10, 20)) == data[10:20]
    assert reader.read_at(len(data) - 5, 100) == data[-5:]


def test_an_upload_goes_on_where_it_stopped_and_repeated_parts_do_no_harm(blobs: BlobStore) -> None:
    data = secrets.token_bytes(1000)
    digest = sha(data)
    assert blobs.append(digest, 0, 1000, data[:400]) == 400
    assert not blobs.has(digest) and blobs.received(digest) == 400
    assert blobs.append(digest, 0, 1000, data[:400]) == 400
    assert blobs.append(digest, 500, 1000, data[500:]) == 400
    assert blobs.append(digest, 400, 1000, data[400:]) == 1000
    assert blobs.has(digest) and blobs.append(digest, 0, 1000, data) == 1000


def test_what_does_not_match_its_name_is_never_seen_and_can_be_sent_again(blobs: BlobStore) -> None:
    data = b"the right bytes"
    with pytest.raises(ChecksumMismatch):
        blobs.append(sha(data), 0, len(data), b"the wrong bytes")
    assert not blobs.has(sha(data)) and blobs.received(sha(data)) == 0
    blobs.append(sha(data), 0, len(data), data)
    assert blobs.has(sha(data))


def test_an_upload_through_several_masters_is_checked_whole(tmp_path: Path) -> None:
    """Each remembers what it has seen of an upload; none may trust that where another had a hand in it."""
    data = secrets.token_bytes(1000)
    one, other = DirectoryBlobs(tmp_path), DirectoryBlobs(tmp_path)
    for store, start in ((one, 0), (other, 300), (one, 600)):
        store.append(sha(data), start, 1000, data[start : start + 300])
    other.append(sha(data), 900, 1000, data[900:])
    assert b"".join(stream(one.open(sha(data)))) == data


def test_what_another_master_began_anew_is_not_taken_for_what_was_here(tmp_path: Path) -> None:
    data, wrong = secrets.token_bytes(1000), secrets.token_bytes(500)
    one, other = DirectoryBlobs(tmp_path), DirectoryBlobs(tmp_path)
    one.append(sha(data), 0, 1000, data[:500])
    other.drop_unfinished(time.time() + 1000)
    other.append(sha(data), 0, 1000, wrong)
    with pytest.raises(ChecksumMismatch):
        one.append(sha(data), 500, 1000, data[500:])
    assert not one.has(sha(data))


def test_many_unfinished_uploads_at_once(blobs: BlobStore) -> None:
    uploads = [secrets.token_bytes(100) for _ in range(200)]
    for start in (0, 50):
        for data in uploads:
            blobs.append(sha(data), start, 100, data[start : start + 50])
    assert all(blobs.has(sha(data)) for data in uploads)


def test_an_empty_blob(blobs: BlobStore) -> None:
    assert blobs.open(blobs.put(b"")).size == 0


def test_what_is_not_here_is_not_found(blobs: BlobStore) -> None:
    with pytest.raises(NotFound):
        blobs.open("0" * 64)


@pytest.mark.parametrize("name", ["../../etc/passwd", "A" * 64, "", "0" * 63, "0" * 64 + "\n"])
def test_only_digests_are_names(blobs: BlobStore, name: str) -> None:
    with pytest.raises(BadRequest):
        blobs.append(name, 0, 1, b"x")
    with pytest.raises(BadRequest):
        blobs.open(name)


def test_a_part_is_bounded(blobs: BlobStore) -> None:
    with pytest.raises(BadRequest):
        blobs.append("0" * 64, 0, PART_LIMIT + 1, bytes(PART_LIMIT + 1))
    with pytest.raises(BadRequest):
        blobs.append("0" * 64, 0, 3, b"four")


def test_concurrent_uploads_of_one_blob_make_one_whole(blobs: BlobStore) -> None:
    data = secrets.token_bytes(200_000)
    digest = sha(data)

    def upload(_: int) -> None:
        offset = 0
        while not blobs.has(digest):
            offset = blobs.append(digest, offset, len(data), data[offset : offset + 10_000])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upload, range(4)))
    assert b"".join(stream(blobs.open(digest))) == data


def test_an_unused_blob_may_be_removed_and_is_gone(blobs: BlobStore) -> None:
    digest, later = blobs.put(b"x"), time.time() + 1000
    assert not blobs.delete_unused(digest, time.time() - 1000), "it was stored since then"
    assert list(blobs.unused_since(time.time() - 1000)) == []
    assert list(blobs.unused_since(later)) == [digest]
    assert blobs.delete_unused(digest, later)
    assert not blobs.delete_unused(digest, later)
    assert not blobs.has(digest)
    blobs.put(b"x")
    assert blobs.has(digest)


@pytest.mark.parametrize("use", ["has", "put", "put_stream", "append"])
def test_whoever_finds_a_blob_there_keeps_it(blobs: BlobStore, use: str) -> None:
    digest, now = blobs.put(b"x"), time.time()
    os.utime(blobs._path(digest), (now - 5000, now - 5000))  # type: ignore[attr-defined]  (stored long ago)
    if use == "has":
        assert blobs.has(digest)
    elif use == "put":
        blobs.put(b"x")
    elif use == "append":
        blobs.append(digest, 0, 1, b"x")
    else:
        blobs.put_stream([b"x"])
    assert not blobs.delete_unused(digest, now - 1000), "it was used since then"


def test_removing_and_using_at_once_never_leaves_a_hole(blobs: BlobStore) -> None:
    """Whoever was told that a blob is there finds it there, however many try to remove it."""
    data = b"shared"
    digest = sha(data)

    def use(_: int) -> bool:
        blobs.put(data)
        if blobs.has(digest):
            return b"".join(stream(blobs.open(digest))) == data
        return False

    with ThreadPoolExecutor(6) as pool:
        uses = [pool.submit(use, n) for n in range(200)]
        removals = [pool.submit(blobs.delete_unused, digest, time.time() - 1) for _ in range(200)]
        assert all(each.result() for each in uses)
        assert not any(each.result() for each in removals)


def test_uploads_that_were_given_up_are_forgotten(blobs: BlobStore) -> None:
    blobs.append("0" * 64, 0, 10, b"half")
    blobs.drop_unfinished(time.time() - 1000)
    assert blobs.received("0" * 64) == 4
    blobs.drop_unfinished(time.time() + 1000)
    assert blobs.received("0" * 64) == 0
