"""Around everything that changes something, by whichever face: one entry in the audit log, whatever came of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
from flask import g

from dockercomp.protocol.errors import BadRequest, Busy, DockercompError
from server.api.services import Caller, Services


@dataclass
class _Open:
    """The entry of the request under way. Refusals are written for people only: what strangers and clients try in vain
    is counted by the metrics, and must not fill the log."""

    caller: Caller | None = None
    subject: str = ""
    detail: str = ""
    outcome: str = "done"


def _code(error: Exception) -> str:
    if isinstance(error, DockercompError):
        return error.code
    return BadRequest.code if isinstance(error, msgspec.DecodeError) else "failed"


@contextmanager
def entry(services: Services, kind: str, parts: Mapping[str, str]) -> Iterator[None]:
    """Records what happens inside as `kind`; nothing where `kind` is empty."""
    g.audit = found = _Open(subject=next(iter(parts.values()), ""))
    try:
        yield
    except Busy:
        kind = ""  # nothing was done, and a limit on requests must not cost a write each
        raise
    except Exception as error:
        found.outcome = _code(error)
        raise
    finally:
        caller = found.caller
        if kind and caller is not None and (found.outcome == "done" or caller.kind == "user"):
            services.audit.record(caller.actor, kind, found.subject, found.outcome, found.detail)


def by(caller: Caller) -> Caller:
    """Say whose request it is, once that is known; returns the caller."""
    g.audit.caller = caller
    return caller


def note(*, subject: str = "", detail: str = "", outcome: str = "") -> None:
    """Say what the request is about, where its path does not, and how it ended, where nothing is raised. Never with a
    secret."""
    found: _Open | None = g.get("audit")
    if found is not None:
        found.subject, found.detail = subject or found.subject, detail or found.detail
        found.outcome = outcome or found.outcome
