"""Parts of a file that is sent: whatever offset the master asks for, that is what it gets."""

import hashlib
import io
import os

import pytest

from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.parts import Parts, content_digest

DATA = os.urandom(64) * (PART_LIMIT // 40)


@pytest.mark.parametrize("offsets", [[0, PART_LIMIT], [PART_LIMIT], [0, 0, PART_LIMIT], [5, 0, 7, PART_LIMIT + 5]])
def test_each_part_begins_where_it_was_asked_for(offsets: list[int]) -> None:
    with Parts(io.BytesIO(DATA), len(DATA)) as parts:
        for offset in offsets:
            part = parts.at(offset)
            assert part.offset == offset
            assert part.data == DATA[offset : offset + PART_LIMIT]
            assert part.digest == content_digest(part.data)


def test_nothing_beyond_the_size_that_was_announced_is_read() -> None:
    with Parts(io.BytesIO(DATA), 100) as parts:
        assert parts.at(0).data == DATA[:100]
        assert parts.at(100).data == b""


def test_an_unreadable_file_is_told_when_the_part_is_asked_for() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= PART_LIMIT:
                raise OSError(5, "Input/output error")
            return super().read(size)

    with Parts(Broken(DATA), len(DATA)) as parts:
        assert hashlib.sha256(parts.at(0).data).digest() == hashlib.sha256(DATA[:PART_LIMIT]).digest()
        with pytest.raises(OSError, match="Input/output error"):
            parts.at(PART_LIMIT)
