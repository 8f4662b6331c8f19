"""Routes of receipts, and of the keys that they are checked with."""

from typing import Any

from flask import Response, request

from dockercomp.protocol.errors import BadRequest
from dockercomp.protocol.keychain import KeyChain
from server.api.results import stored_chunk
from server.api.services import Caller, Services


def job_receipt(services: Services, caller: Caller, _: None, job: str) -> Response:
    return _sent(services.receipts.of_job(services.job(job), _edition()), f"{job}.receipt.json")


def chunk_receipt(services: Services, caller: Caller, _: None, chunk: str) -> Response:
    found = stored_chunk(services, chunk)
    return _sent(services.receipts.of_chunk(services.job(found.job), found), f"{chunk}.receipt.json")


def master_keys(services: Services, caller: Caller, _: None) -> KeyChain:
    return services.keys.chain()


def _edition() -> int | None:
    """The edition asked for; None for the newest. Raises BadRequest."""
    asked = request.args.get("edition", "")
    if asked and not (asked.isascii() and asked.isdigit() and 0 < len(asked) < 6):
        raise BadRequest("?edition= is a number from 1")
    return int(asked) if asked else None


def _sent(receipt: bytes, name: str) -> Response:
    response = Response(receipt, content_type="application/json")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


HANDLERS: dict[str, Any] = {"job_receipt": job_receipt, "chunk_receipt": chunk_receipt, "master_keys": master_keys}
