"""A job as the scientist declares it (JobSpec) and as a worker is ordered to run it (JobOrder, signed).

Sizes in bytes, times in seconds, CPUs in cores. The job file's own notation ("8 MiB", "10 min") is read by
dockercomp.jobfile; on the wire there are only numbers.
"""

from typing import Literal

import msgspec

from .messages import Message

Split = Literal["lines", "bytes", "records", "files", "range"]


class InputSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    split: Split
    chunk_size: int = 8 * 1024 * 1024
    """lines, bytes, records: bytes a chunk (whole lines or records)."""
    record_size: int = 0
    """records: bytes a record."""
    files_per_chunk: int = 1
    start: int = 0
    stop: int = 0
    per_chunk: int = 1
    """range: numbers start, start+1 … stop-1, per_chunk of them a chunk."""


class ProgramSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stage is run: exactly one of `command` (argument vector) and `function` (`module:name`)."""

    command: list[str] | None = None
    function: str | None = None


class VerifySpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Literal["none", "quorum", "adaptive"] = "quorum"
    quorum: int = 2
    compare: Literal["bytes"] = "bytes"


class ResourcesSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cpus: float = 1.0
    memory: int = 256 * 1024 * 1024
    disk: int = 64 * 1024 * 1024
    time_limit: float = 600.0


class JobSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    image: str
    input: InputSpec
    map: ProgramSpec
    reduce: ProgramSpec | None = None
    verify: VerifySpec = VerifySpec()
    resources: ResourcesSpec = ResourcesSpec()
    environment: dict[str, str] = {}
    retries: int = 3
    """Failed replicas of one chunk after which the job stops and says why."""


class ImagePin(Message, frozen=True, kw_only=True):
    name: str
    config_digest: str
    """SHA-256 of the image's config JSON, `sha256:` and 64 hex digits: covers every layer, same in every store."""
    platform: str


class JobOrder(Message, frozen=True, kw_only=True):
    """Everything a worker needs to run chunks of a job; its JSON is what the master signs."""

    version: int
    job: str
    name: str
    image: ImagePin
    program: str
    """SHA-256 of the job folder's tar; empty where there is none."""
    split: Split
    stages: list[ProgramSpec]
    """Map, then reduce if there is one."""
    resources: ResourcesSpec
    environment: dict[str, str] = {}


ORDER_VERSION = 1

encode_order = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(JobOrder).decode
