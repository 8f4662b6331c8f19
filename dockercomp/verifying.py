"""Checking receipts without a master: is it genuine, is this the result it speaks of, and what does it say."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from .protocol import receipts
from .protocol.errors import DockercompError
from .protocol.keychain import KeyChain, kin
from .protocol.receipts import BadReceipt, ChunkReceipt, ChunkRecord, Envelope, JobReceipt, Output
from .protocol.signing import fingerprint, names_key

_BLOCK = 1 << 20
_MOST_NAMED = 5


class OtherResult(ValueError):
    """The result is not the one that the receipt speaks of; the message says what differs."""


class UnknownKey(DockercompError):
    """What --key names is no key."""

    code, title = "unknown_key", "This is no key"


class Keys:
    """Keys that are trusted, each with the words that say why."""

    def __init__(self) -> None:
        self._chains: list[tuple[str, KeyChain]] = []
        self._fingerprints: list[str] = []

    def add(self, why: str, chain: KeyChain) -> None:
        self._chains.append((why, chain))

    def add_word(self, word: str) -> None:
        """A key, 64 hex digits, or its fingerprint."""
        self._fingerprints.append(word)

    def why(self, key: str) -> str:
        """Why this key is trusted; empty where it is not."""
        if any(names_key(word, key) for word in self._fingerprints):
            return "the key that you gave"
        for why, chain in self._chains:
            if key == chain.key:
                return why
            if key in kin(chain.key, chain.links):
                return f"a key that is in one chain with {why}"
        return ""


def keys_of(text: str) -> Keys:
    """What --key names: a key, its fingerprint, or a file that holds either or a chain as GET /api/v1/keys gives it.

    Raises UnknownKey where it is none of these."""
    found, path = Keys(), Path(text)
    if _is_word(text):
        found.add_word(text.lower())
        return found
    try:
        raw = path.read_text(encoding="utf-8").strip()
        if _is_word(raw):
            found.add_word(raw.lower())
        else:
            found.add("the key that you gave", msgspec.json.decode(raw, type=KeyChain))
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise UnknownKey(
            f"--key {text}: neither a key (64 hex digits), nor its fingerprint (sha256:…), nor a file with one of these"
            " or with the chain of keys that the master shows at /api/v1/keys"
        ) from error
    return found


def _is_word(text: str) -> bool:
    digits = text.lower().removeprefix("sha256:")
    return len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits)


@dataclass(frozen=True)
class Genuine:
    """A receipt that is signed by a trusted key."""

    envelope: Envelope
    receipt: JobReceipt | ChunkReceipt
    why: str
    """Why its key is trusted."""

    @property
    def body_digest(self) -> str:
        return hashlib.sha256(self.envelope.body.encode()).hexdigest()


def genuine(raw: bytes, keys: Keys) -> Genuine:
    """The receipt, if it is one of a trusted master. Raises BadReceipt."""
    envelope = receipts.opened(raw)
    why = keys.why(envelope.key)
    receipt = receipts.read(envelope)
    if not why:
        raise BadReceipt(
            f"the receipt is signed by a key that is not trusted here, {fingerprint(envelope.key)}; it names the master"
            f" {receipt.master.url}: get that master's key from its admin or the publication, and give it with --key"
        )
    return Genuine(envelope, receipt, why)


def record_of(receipt: ChunkReceipt, job: JobReceipt | None) -> ChunkRecord:
    """The chunk's record, proven to be one of the job's where that receipt is given. Raises BadReceipt."""
    record = receipts.record_of(receipt)
    if job is not None and not receipt.of:
        raise BadReceipt(f"the receipt of chunk {record.chunk} was signed before its job ended: fetch it again")
    if job is not None and (receipt.records, receipt.chunks, record.job) != (job.records, job.chunks, job.job):
        raise BadReceipt(f"chunk {record.chunk} is not one of those that the receipt of job {job.job} covers")
    return record


# --- results ---------------------------------------------------------------------------------------------------------


def check(output: Output, path: Path) -> str:
    """In words what of the result the file or folder is. Raises OtherResult, OSError."""
    if not path.is_dir():
        return _check_file(output, path)
    if not output.files:
        inside = path / "result"
        if inside.is_file():
            return _check_file(output, inside)
        raise OtherResult(f"{path} is a folder without a file named result, and the job's result is one file")
    inside = path / "result"
    return _check_folder(output, inside if inside.is_dir() and not _lists_below(output, "result/") else path)


def check_bytes(digest: str, size: int, path: Path) -> None:
    """Raises OtherResult, OSError."""
    found, length = _digest(path)
    if found != digest:
        raise OtherResult(
            f"{path} is another result than the receipt's: {length:,} bytes with SHA-256 {found}, where it states"
            f" {size:,} bytes with {digest}"
        )


def _check_file(output: Output, path: Path) -> str:
    found, _ = _digest(path)
    if output.files and found != output.digest:
        for each in output.listed:
            if each.digest == found:
                return f"{path} is its file {each.name}"
    check_bytes(output.digest, output.size, path)
    return f"{path} is its result, {output.size:,} bytes"


def _check_folder(output: Output, folder: Path) -> str:
    named = {each.name: each for each in output.listed}
    hashes, differing = [], []
    for name, path in _files(folder):
        found, size = _digest(path)
        hashes.append(receipts.file_hash(name, size, found))
        if named and (name not in named or named[name].digest != found):
            differing.append(f"{name} ({'differs' if name in named else 'is not part of it'})")
        named.pop(name, None)
    if receipts.files_digest(hashes) != output.files_digest:
        missing = [f"{name} (is missing)" for name in named]
        raise OtherResult(f"{folder} is not its result: {_some(differing + missing)}")
    return f"{folder} is its result, {output.files:,} files"


def _some(words: list[str]) -> str:
    if not words:
        return "a file differs, is missing or does not belong to it (the receipt names no single files of so many)"
    rest = len(words) - _MOST_NAMED
    return ", ".join(words[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below, by its path with slashes; links are not followed into folders."""
    for base, _, names in os.walk(folder):
        for name in names:
            path = Path(base, name)
            yield path.relative_to(folder).as_posix(), path


def _lists_below(output: Output, prefix: str) -> bool:
    return any(each.name.startswith(prefix) for each in output.listed)


def _digest(path: Path) -> tuple[str, int]:
    if not path.is_file():  # a pipe would never end
        raise OtherResult(f"{path} is no regular file")
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size
