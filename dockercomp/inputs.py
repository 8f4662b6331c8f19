"""The inputs of a job: found, named and measured before anything is sent; then sent, small ones many at a time.

Each is read once for its digest and, where the master lacks it, once more to be sent; memory stays flat however many
there are and however large. What changed between the two readings is named.
"""

import hashlib
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import IO, Self

import msgspec

from . import packs
from .catalogue import Catalogue, Planned
from .expansion import expand
from .packs import Upload
from .protocol.orders import NUMBER_SPLITS, JobSpec
from .protocol.views import InputFile
from .source import InputError, Source

__all__ = ["Collected", "InputError", "collect"]

_BLOCK = 2**20

Missing = Callable[[Sequence[str]], Collection[str]]
"""Which of these uploads, by digest, the master does not have."""


def collect(spec: JobSpec, given: Sequence[str | Path]) -> "Collected":
    """Find and read the inputs that `given` stands for. Raises InputError."""
    split = spec.input.split
    if split in NUMBER_SPLITS and given:
        raise InputError(f'a job with split = "{split}" takes no INPUT, but {given[0]} was given')
    if split not in NUMBER_SPLITS and not given:
        raise InputError(
            f'a job with split = "{split}" needs at least one INPUT: a file, folder, pattern, URL or job:ID'
        )
    found = Collected(lambda: expand(spec.input, given), by_name=split == "files")
    try:
        with _room():
            found.read()
        if split not in ("files", *NUMBER_SPLITS) and not found.size and not found.elsewhere:
            raise InputError("there is nothing in the inputs: every file is empty")
    except BaseException:
        found.close()
        raise
    return found


class Collected:
    """Inputs that were read. Holds a temporary file until it is closed. Not for several threads at once."""

    def __init__(self, expanded: Callable[[], Iterator[Source | InputFile]], *, by_name: bool) -> None:
        self._expanded = expanded
        self._by_name = by_name
        self._catalogue = Catalogue()
        self.elsewhere = 0
        """Inputs that are not sent from here: URLs, results of jobs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._catalogue.close()

    def __len__(self) -> int:
        return self._catalogue.inputs

    @property
    def size(self) -> int:
        """Bytes of all inputs that are sent from here."""
        return self._catalogue.size

    def __iter__(self) -> Iterator[InputFile]:
        """All inputs as they are submitted: for a files split by name, else in the order given."""
        return self._catalogue.files(by_name=self._by_name)

    # --- reading ---------------------------------------------------------------------------------------------------

    def read(self) -> None:
        """The first reading: sizes and digests of everything. Raises InputError."""
        pack = packs.Pack(self._catalogue)
        for found in self._expanded():
            if isinstance(found, InputFile):
                self.elsewhere += 1
                self._catalogue.add_elsewhere(found)
                continue
            with found.open() as file:
                head = file.read(packs.SMALL)
                if len(head) < packs.SMALL:
                    pack.add(found.name, head)
                else:
                    pack.end()
                    self._add_large(found.name, head, file)
        pack.end()
        if self._by_name and (name := self._catalogue.twice()):
            raise InputError(_both(name, self._expanded()))

    def _add_large(self, name: str, head: bytes, file: IO[bytes]) -> None:
        digest, size = hashlib.sha256(head), len(head)
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
        self._catalogue.add(name, size, 0, 0)
        self._catalogue.end_upload(digest.hexdigest(), size)

    # --- sending ---------------------------------------------------------------------------------------------------

    def ask(self, missing: Missing) -> tuple[int, int]:
        """Learn what the master has already; returns the inputs and bytes that it has not."""
        for digests in self._catalogue.digests():
            lacking = set(missing(digests))
            self._catalogue.mark_here([digest for digest in digests if digest not in lacking])
        return self._catalogue.unsent()

    def send(self, upload: Upload) -> None:
        """Send what the master does not have, reading it again. Raises InputError where an input has changed."""
        if self._catalogue.unsent()[0] == 0:
            return
        with _room():
            self._send(upload)

    def _send(self, upload: Upload) -> None:
        sources = (found for found in self._expanded() if isinstance(found, Source))
        with tempfile.TemporaryFile(prefix="dockercomp-") as pack:
            for source, row in zip_longest(sources, self._catalogue.planned()):
                if source is None or row is None or source.name != row.name:
                    raise InputError(
                        f"{_named(source, row)} came or went while the inputs were being sent; submit again"
                    )
                if row.here:
                    continue
                if row.last and row.size == row.upload_size:
                    packs.send_alone(source, row, upload)
                else:
                    packs.append(source, row, pack)
                    if row.last:
                        pack.seek(0)
                        upload(row.digest, row.upload_size, pack)
                        pack.seek(0)
                        pack.truncate()

    def listed(self, target: IO[bytes]) -> tuple[str, int]:
        """Write the list of inputs to `target`; returns its digest and size."""
        digest, size = hashlib.sha256(), 0
        for file in self:
            line = msgspec.json.encode(file) + b"\n"
            digest.update(line)
            size += target.write(line)
        target.seek(0)
        return digest.hexdigest(), size


@contextmanager
def _room() -> Iterator[None]:
    """Tells of a temporary folder that cannot be written to."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise InputError(
            f"the temporary folder {tempfile.gettempdir()} cannot hold what is known of the inputs ({error}); make room"
            " there, or name another one in TMPDIR"
        ) from error


def _named(source: Source | None, row: Planned | None) -> str:
    return source.place if source is not None else row.name if row is not None else ""


def _both(name: str, found: Iterator[Source | InputFile]) -> str:
    places = [each.place if isinstance(each, Source) else each.url or each.job for each in found if each.name == name]
    return f"{' and '.join(places[:2])} would both be named {name}; give the folder above them instead"
