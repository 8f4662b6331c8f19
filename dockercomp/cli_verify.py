"""The commands that fetch receipts and the master's key, and check receipts and results."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from . import known_masters, receipt_words, verifying
from .client import Client
from .job import OutputError
from .options import json_option, pass_session, with_client
from .protocol.errors import Conflict, NotFound
from .protocol.receipts import BadReceipt, ChunkReceipt, JobReceipt
from .protocol.signing import fingerprint
from .terminal import FAILED, OK, Session
from .verifying import Genuine, Keys, OtherResult


@click.command()
@click.argument("receipt", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("result", type=click.Path(exists=True, path_type=Path))
@click.option("--key", metavar="KEY|FILE", default="", help="The master's key, its fingerprint, or a file with either.")
@click.option("--of", "job", metavar="FILE", help="Of a chunk's receipt: the job's receipt that must cover it.")
@click.option("--online", is_flag=True, help="Also ask the master whether the receipt was superseded.")
@json_option
@pass_session
def verify(session: Session, receipt: Path, result: Path, key: str, job: str | None, online: bool) -> int:
    """Check that RECEIPT is genuine and that RESULT, a file or a folder, is the result it speaks of.

    Works without the master: its key is the one given, or the one noted when this machine first spoke to it. Exit code
    0 where all is well, 1 where not.
    """
    said: list[str] = []
    try:
        said.extend(_checked(receipt, result, _keys(key), job))
        if online:
            said.append(_newest(session, _genuine(receipt, _keys(key))))
        problem = ""
    except BadReceipt as error:
        problem = f"not genuine: {error}" if not isinstance(error, _Superseded) else f"superseded: {error}"
    except OtherResult as error:
        problem = f"another result: {error}"
    except OSError as error:
        raise OutputError(f"{error.filename or result} cannot be read: {error.strerror}") from error
    lines = [*said, problem] if problem else said
    session.answer({"genuine": not problem, "said": lines}, lambda: print(*lines, sep="\n"))
    return FAILED if problem else OK


class _Superseded(BadReceipt):
    """A later edition has taken its place."""


def _keys(key: str) -> Keys:
    if key:
        return verifying.keys_of(key)
    found = Keys()
    for url, chain in known_masters.noted().items():
        found.add(f"the key of the master at {url}, as it was noted here", chain)
    return found


def _genuine(path: Path, keys: Keys) -> Genuine:
    return verifying.genuine(path.read_bytes(), keys)


def _checked(receipt: Path, result: Path, keys: Keys, job: str | None) -> Iterator[str]:
    """What holds, a sentence each. Raises BadReceipt, OtherResult, OSError."""
    found = _genuine(receipt, keys)
    if isinstance(found.receipt, ChunkReceipt):
        yield from _checked_chunk(found, found.receipt, result, keys, job)
        return
    stated = found.receipt
    edition = f", edition {stated.edition}" if stated.edition > 1 else ""
    whose = f"job {stated.job} ({stated.name}) of {stated.scientist}{edition}"
    yield f"genuine: the receipt of {whose}, signed by {found.why}"
    yield f"the result: {verifying.check(stated.output, result)}"
    yield f"computed by: {receipt_words.who(stated)}"
    yield f"checked: {receipt_words.how(stated)}"
    yield f"estimated error: {receipt_words.estimated(stated)}"


def _checked_chunk(found: Genuine, stated: ChunkReceipt, result: Path, keys: Keys, job: str | None) -> Iterator[str]:
    whole = _genuine(Path(job), keys).receipt if job else None
    if isinstance(whole, ChunkReceipt):
        raise BadReceipt(f"{job} is a chunk's receipt, not a job's")
    record = verifying.record_of(stated, whole)
    yield f"genuine: the receipt of {record.stage} chunk {record.index} of job {record.job}, signed by {found.why}"
    verifying.check_bytes(record.output_digest, record.output_size, result)
    yield f"the result: {result} is its result, {record.output_size:,} bytes"
    yield f"computed by: {receipt_words.voters(record)}"
    if not stated.of:
        yield "its job had not ended when this was signed: the result may have been checked again since"
    elif whole is not None:
        yield f"it is one of the {stated.chunks:,} chunks that the receipt of job {record.job} covers"


def _newest(session: Session, found: Genuine) -> str:
    """That no later edition exists. Raises BadReceipt where one does, and what asking the master raises."""
    stated = found.receipt
    job = stated.job if isinstance(stated, JobReceipt) else verifying.record_of(stated, None).job
    mine = found.body_digest if isinstance(stated, JobReceipt) else stated.of
    with session.client() as client:
        keys = Keys()
        keys.add("the master", known_masters.follow(client.master))
        try:
            newest = verifying.genuine(client.master.request("job_receipt", job=job).content, keys)
        except Conflict as error:
            raise _Superseded(f"this receipt does not hold any more: {error.detail}") from error
        except NotFound:
            return f"the master has no job {job} (any more), so whether the receipt was superseded cannot be told"
    assert isinstance(newest.receipt, JobReceipt)
    if not mine:
        return "its job has ended since it was signed: fetch it again for its place in the job's receipt"
    if newest.body_digest == mine:
        return "it is the newest receipt of its job"
    because = f": {newest.receipt.because}" if newest.receipt.because else ""
    raise _Superseded(f"edition {newest.receipt.edition} of the receipt of job {job} has taken its place{because}")


@click.command()
@click.argument("subject", metavar="JOB|CHUNK")
@click.option("--output", metavar="FILE", default="-", show_default=True, help="Where to write it.")
@click.option("--edition", type=click.IntRange(1), help="Of a job: an earlier edition.")
@with_client
def receipt(session: Session, client: Client, subject: str, output: str, edition: int | None) -> None:
    """Fetch the signed receipt of a completed job, or of an accepted chunk (by its id)."""
    if "." in subject:
        raw = client.master.request("chunk_receipt", chunk=subject).content
    else:
        params = {"edition": edition} if edition else None
        raw = client.master.request("job_receipt", params=params, job=subject).content
    if output == "-":
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()
        return
    try:
        Path(output).write_bytes(raw)
    except OSError as error:
        raise OutputError(f"the receipt cannot be written to {output}: {error.strerror}") from error
    session.answer({"receipt": output}, lambda: print(output))


@click.command("master-key")
@with_client
def master_key(session: Session, client: Client) -> None:
    """Show the key that the master signs with, for a publication; --json gives the whole chain, for --key of verify."""
    chain = known_masters.follow(client.master)
    before = f", after {receipt_words.count(len(chain.links), 'change')}" if chain.links else ""
    session.answer(chain, lambda: print(f"{chain.key}\n{fingerprint(chain.key)}\nof {client.master.url}{before}"))


COMMANDS = (verify, receipt, master_key)
