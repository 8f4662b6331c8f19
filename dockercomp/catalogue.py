"""The inputs of one submission and the uploads that carry them, on disk: a million of them take no memory.

A private SQLite database in a temporary file without a name, which is gone when it is closed, also by a kill.
"""

import sqlite3
from collections.abc import Collection, Iterator
from typing import NamedTuple

from .protocol.views import InputFile

_TABLES = """
    PRAGMA journal_mode = OFF;
    CREATE TABLE inputs (number INTEGER PRIMARY KEY, name TEXT, size INTEGER, upload INTEGER, start INTEGER,
                         crc INTEGER, job TEXT, url TEXT);
    CREATE TABLE uploads (number INTEGER PRIMARY KEY, digest TEXT, size INTEGER, last INTEGER, here INTEGER);
    CREATE INDEX by_digest ON uploads (digest);
    BEGIN;
"""
_FILES = """
    SELECT name, digest, inputs.size, start, job, url FROM inputs LEFT JOIN uploads ON uploads.number = upload
"""
_BATCH = 10_000


class Planned(NamedTuple):
    """One input as it was read: the next `size` bytes of the upload `digest`."""

    name: str
    size: int
    crc: int
    """CRC-32 of its bytes, which tells the file of an upload that changed."""
    digest: str
    upload_size: int
    last: bool
    """The upload ends with this input."""
    here: bool
    """The master has the upload, or gets the same bytes by an earlier one."""


class Catalogue:
    """Inputs are added in the order in which they are read; those of an upload before `end_upload`."""

    def __init__(self) -> None:
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.executescript(_TABLES)
        self._uploads, self._last = 0, 0
        self.inputs, self.size = 0, 0

    def close(self) -> None:
        self._rows.close()

    def add_elsewhere(self, file: InputFile) -> None:
        """An input that is not sent from here."""
        query = "INSERT INTO inputs (name, job, url) VALUES (?, ?, ?)"
        self._rows.execute(query, (file.name, file.job, file.url))
        self.inputs += 1

    def add(self, name: str, size: int, start: int, crc: int) -> None:
        """An input that begins at byte `start` of the present upload."""
        query = "INSERT INTO inputs (name, size, upload, start, crc) VALUES (?, ?, ?, ?, ?)"
        self._last = self._rows.execute(query, (name, size, self._uploads, start, crc)).lastrowid or 0
        self.inputs, self.size = self.inputs + 1, self.size + size

    def end_upload(self, digest: str, size: int) -> None:
        again = "EXISTS (SELECT 1 FROM uploads WHERE digest = ?2)"
        query = f"INSERT INTO uploads (number, digest, size, last, here) VALUES (?1, ?2, ?3, ?4, {again})"  # noqa: S608
        self._rows.execute(query, (self._uploads, digest, size, self._last))
        self._uploads += 1

    # --- what was found --------------------------------------------------------------------------------------------

    def twice(self) -> str | None:
        """A name that two inputs have."""
        query = "SELECT name FROM inputs GROUP BY name HAVING count(*) > 1 LIMIT 1"
        found = self._rows.execute(query).fetchone()
        return str(found[0]) if found else None

    def files(self, *, by_name: bool) -> Iterator[InputFile]:
        """All inputs, sorted by name or in the order in which they were read."""
        query = _FILES + (" ORDER BY name" if by_name else " ORDER BY inputs.number")
        for name, digest, size, start, job, url in self._rows.execute(query):
            if digest is None:
                yield InputFile(name=name, job=job, url=url)
            else:
                yield InputFile(name=name, digest=digest, size=size, offset=start)

    def planned(self) -> Iterator[Planned]:
        """The inputs that are sent from here, in the order in which they were read."""
        query = (
            "SELECT name, inputs.size, crc, digest, uploads.size, last = inputs.number, here FROM inputs"
            " JOIN uploads ON uploads.number = upload ORDER BY inputs.number"
        )
        yield from map(Planned._make, self._rows.execute(query))

    # --- what the master has ---------------------------------------------------------------------------------------

    def digests(self) -> Iterator[list[str]]:
        """All uploads, so many at a time that one request can ask for them."""
        for first in range(0, self._uploads, _BATCH):
            query = "SELECT digest FROM uploads WHERE number >= ? AND number < ?"
            yield [str(digest) for (digest,) in self._rows.execute(query, (first, first + _BATCH))]

    def mark_here(self, digests: Collection[str]) -> None:
        self._rows.executemany("UPDATE uploads SET here = 1 WHERE digest = ?", ((digest,) for digest in digests))

    def unsent(self) -> tuple[int, int]:
        """Inputs and bytes that the master does not have."""
        files = "SELECT count(*) FROM inputs JOIN uploads ON uploads.number = upload WHERE NOT here"
        size = "SELECT coalesce(sum(size), 0) FROM uploads WHERE NOT here"
        return int(self._rows.execute(files).fetchone()[0]), int(self._rows.execute(size).fetchone()[0])
