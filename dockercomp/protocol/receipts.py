"""Receipts: what the master states, signed, about a job's result (JobReceipt) and about one chunk's (ChunkReceipt).

A receipt is one line of JSON, an Envelope, whose `body` is the text that was signed. The signature (Ed25519, RFC 8032)
covers DOMAIN and the UTF-8 bytes of `body`; nothing is serialised again before it is checked. Each accepted chunk has a
ChunkRecord; its JSON text is a leaf of a tree (protocol.merkle) whose root stands in the job's receipt, in the order of
stages and chunks. Sizes in bytes, times RFC 3339 in UTC, seconds and CPUs as numbers; digests SHA-256, 64 hex digits.
"""

import re
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from . import merkle
from .orders import ImagePin, VerifySpec

DOMAIN = b"dockercomp receipt v1\n"
FORMAT: Literal["dockercomp receipt v1"] = "dockercomp receipt v1"
MOST_LISTED = 1000
"""Inputs, clients and files that a receipt names one by one; of more it has the number, and of files one digest."""

_HEX = re.compile(r"[0-9a-f]+")

Basis = Literal["quorum", "single", "unchecked", "trusted", "people", "reused"]
"""What an accepted result rests on: agreeing results of several clients; one client's word, in a job that checks by
chance; one client's word, in a job that checks nothing; one result of a client that the admin trusts; answers of
people; or the result of an earlier job's chunk."""

Verdict = Literal["agreed", "alone", "outvoted"]
"""Of a returned result. `agreed`: equal to the canonical one under the job's comparator, as another client's was.
`alone`: it is that one, and no other client gave an equal one. `outvoted`: another one was accepted."""


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what a receipt says. Defaults are written out: a receipt must mean the same to whoever reads it later."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt as it is kept and given out."""

    format: Literal["dockercomp receipt v1"] = FORMAT
    body: str
    """JSON of a JobReceipt or a ChunkReceipt: the very text that was signed."""
    key: str
    """The master's public key, 64 hex digits."""
    signature: str
    """128 hex digits."""


class Master(Stated, frozen=True, kw_only=True):
    url: str
    key: str


class Vote(Stated, frozen=True, kw_only=True):
    """One returned result of a chunk. Failed and lost runs are not listed."""

    client: str
    owner: str
    verdict: Verdict
    digest: str
    size: int
    canary: bool = False
    """It was asked for the known answer, as a check of the client; it is no vote."""
    doubted: bool = False
    """The client was found wrong in this job: this vote counted only beside another client's."""
    input_digest: str = ""
    """SHA-256 of the input as the client's worker says that the program got it."""
    cpus_limit: float = 0.0
    memory_limit: int = 0
    """Limits in force as read back from the container's control group (scratch included); 0: could not be read."""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    returned: str = ""


class Independence(Stated, frozen=True, kw_only=True):
    """How many different ones stand behind the agreeing votes. An address block is a /24 (IPv4) or /48 (IPv6)."""

    clients: int
    owners: int
    address_blocks: int
    tokens: int


class ChunkRecord(Stated, frozen=True, kw_only=True):
    """What is stated of one accepted chunk; its JSON text is a leaf of the job's tree."""

    job: str
    chunk: str
    stage: str
    index: int
    basis: Basis
    quorum: int
    """Agreeing results that it needed."""
    output_digest: str
    output_size: int
    accepted: str = ""
    reused_from: str = ""
    votes: list[Vote] = []
    failed_runs: int = 0
    independence: Independence | None = None


class Verification(Stated, frozen=True, kw_only=True):
    """How results were compared and checked."""

    rules: dict[str, Any]
    """The job's VerifySpec (protocol.orders): policy, quorum, floor, comparator with its tolerances."""
    chunks: dict[str, int]
    """Accepted chunks by what they rest on (Basis)."""
    results: int
    """Results returned."""
    outvoted: int
    canaries: int = 0
    canaries_failed: int = 0
    doubted: int = 0
    failed_runs: int = 0
    least: Independence | None = None
    """The least independence of any chunk that rests on a quorum."""
    cpus_limits: list[float] = []
    memory_limits: list[int] = []
    """Smallest and largest limit in force that was read back; empty where none could be."""
    cpu_s: float = 0.0
    cpu_s_checking: float = 0.0
    """Of `cpu_s` what was spent on results beyond one a chunk."""
    estimated_error: dict[str, Any] | None = None
    """The share of wrong accepted chunks as estimated when the job ended (views.TrustView): `share`, and the interval
    from `low` to `high` that holds with `confidence`; None where nothing was estimated."""
    error_method: str = ""
    """How it was estimated."""


class Contributor(Stated, frozen=True, kw_only=True):
    """A client's part in a job, in returned results; canaries are not counted."""

    client: str
    owner: str
    agreed: int = 0
    alone: int = 0
    """Results that were accepted on its word alone."""
    outvoted: int = 0


class Input(Stated, frozen=True, kw_only=True):
    """One input: bytes [offset, offset + size) of the upload `digest`; for a URL its address and ETag."""

    name: str
    size: int
    digest: str = ""
    offset: int = 0
    url: str = ""
    etag: str = ""


class Inputs(Stated, frozen=True, kw_only=True):
    digest: str = ""
    """SHA-256 of the table of all inputs; empty where the job reads none."""
    count: int = 0
    listed: list[Input] = []
    """The first MOST_LISTED of them."""


class FileDigest(Stated, frozen=True, kw_only=True):
    name: str
    size: int
    digest: str


class Output(Stated, frozen=True, kw_only=True):
    """The result. Of one of several files `digest` and `size` are those of the stream that it travels as."""

    digest: str
    size: int
    files: int = 0
    files_digest: str = ""
    """See files_digest below."""
    listed: list[FileDigest] = []
    """All files, where there are at most MOST_LISTED."""


class JobReceipt(Stated, frozen=True, kw_only=True, tag_field="kind", tag="job"):
    master: Master
    job: str
    name: str
    scientist: str
    scientist_key: str = ""
    """The public key with which the scientist signed the job, where it was."""
    edition: int = 1
    supersedes: str = ""
    """SHA-256 of the body of the receipt that this one replaces."""
    because: str = ""
    """Why the result before this one was withdrawn."""
    submitted: str
    ended: str
    image: ImagePin
    program: str = ""
    """SHA-256 of the job folder's tar; empty where there is none."""
    order: str
    """SHA-256 of the signed order that workers ran."""
    inputs: Inputs
    output: Output
    verification: Verification
    clients: int
    owners: int
    contributors: list[Contributor] = []
    """The first MOST_LISTED clients, those with most results first."""
    chunks: int
    records: str
    """Root of the tree over all chunks' records."""


class ChunkReceipt(Stated, frozen=True, kw_only=True, tag_field="kind", tag="chunk"):
    master: Master
    image: ImagePin
    program: str = ""
    order: str
    rules: dict[str, Any]
    record: str
    """JSON text of the ChunkRecord: the leaf as it was hashed."""
    of: str = ""
    """SHA-256 of the body of the job's receipt that covers it; empty while the job has none."""
    edition: int = 0
    records: str = ""
    place: int = 0
    chunks: int = 0
    path: list[str] = []
    """Siblings from the leaf to the root, the lowest first."""


Receipt = JobReceipt | ChunkReceipt

encode_record = msgspec.json.Encoder().encode
decode_record = msgspec.json.Decoder(ChunkRecord).decode
_decode = msgspec.json.Decoder(JobReceipt | ChunkReceipt).decode


class BadReceipt(ValueError):
    """A receipt that is not genuine; the message says what is wrong with it."""


def sign(receipt: Receipt, seed: bytes) -> bytes:
    """The receipt as it is given out, signed with the master's private seed. The same receipt gives the same bytes."""
    body = msgspec.json.encode(receipt)
    key = SigningKey(seed)
    envelope = Envelope(
        body=body.decode(),
        key=key.verify_key.encode().hex(),
        signature=key.sign(DOMAIN + body).signature.hex(),
    )
    return _written(envelope)


def opened(raw: bytes) -> Envelope:
    """The envelope, intact and signed by the key that it names, which may be anybody's. Raises BadReceipt."""
    if not raw.rstrip().endswith(b"}"):
        raise BadReceipt("the receipt is cut off: its end is missing; fetch it again")
    try:
        envelope = msgspec.json.decode(raw, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReceipt(f"this is no receipt, or one that was changed: {error}") from error
    if _written(envelope) != raw or not _is_signed(envelope):
        raise BadReceipt("the receipt was changed after it was signed")
    return envelope


def read(envelope: Envelope) -> Receipt:
    """What it states. Raises BadReceipt where this version cannot read it."""
    try:
        found: Receipt = _decode(envelope.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadReceipt(f"the receipt is of a form that this version cannot read: {error}") from error
    if found.master.key != envelope.key:
        raise BadReceipt("the receipt names another key than the one that signed it")
    return found


def record_of(receipt: ChunkReceipt) -> ChunkRecord:
    """The chunk's record, once it is proven to be in the tree that the receipt names. Raises BadReceipt."""
    raw = receipt.record.encode()
    try:
        siblings, top = [bytes.fromhex(each) for each in receipt.path], bytes.fromhex(receipt.records)
        if top and not merkle.leads_to(merkle.leaf(raw), receipt.place, receipt.chunks, siblings, top):
            raise BadReceipt("the chunk's record is not among those that the job's receipt covers")
        return decode_record(raw)
    except BadReceipt:
        raise
    except ValueError as error:
        raise BadReceipt(f"the chunk's record is of a form that this version cannot read: {error}") from error


def file_hash(name: str, size: int, digest: str) -> bytes:
    """What `files_digest` is made of: one for each file."""
    return merkle.leaf(f"{digest} {size} {name}".encode(errors="surrogateescape"))


def files_digest(hashes: list[bytes]) -> str:
    """One digest for all files of a result, whatever their order: the root of the tree over their sorted hashes."""
    return merkle.root(sorted(hashes)).hex()


def written_out(rules: VerifySpec) -> dict[str, Any]:
    """With its defaults."""
    columns = {name: msgspec.structs.asdict(rule) for name, rule in rules.columns.items()}
    return {**msgspec.structs.asdict(rules), "columns": columns}


def when(seconds: float | None) -> str:
    """RFC 3339, UTC, to the millisecond; empty for none."""
    if not seconds:
        return ""
    at = datetime.fromtimestamp(seconds, timezone.utc)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _written(envelope: Envelope) -> bytes:
    return msgspec.json.encode(envelope) + b"\n"


def _is_signed(envelope: Envelope) -> bool:
    if not (_HEX.fullmatch(envelope.key) and _HEX.fullmatch(envelope.signature)):
        return False
    try:
        VerifyKey(bytes.fromhex(envelope.key)).verify(
            DOMAIN + envelope.body.encode(), bytes.fromhex(envelope.signature)
        )
    except (BadSignatureError, ValueError):
        return False
    return True
