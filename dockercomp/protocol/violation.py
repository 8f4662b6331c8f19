"""One broken rule of a job: where, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """`path` is the dotted place in the job file, such as `input.chunk_size` or `plots.1.kind` (counted from 1)."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"
