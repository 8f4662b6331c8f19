"""Making clients of machines: an enrolment token lets in, a secret of its own lets a client speak from then on."""

import math
import secrets
from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

from dockercomp.protocol.errors import InvalidAllocation, NotFound, PreconditionFailed, Unauthorized
from dockercomp.protocol.messages import Allocation, Ceiling, EnrolAnswer, EnrolRequest
from dockercomp.protocol.people import EnrolmentTokenView
from dockercomp.protocol.views import AllocationChange
from server.store import Store
from server.store.connection import Document
from server.store.credentials import secret_hash, token_id

MEMORY_FLOOR = 16 * 1024 * 1024
CPUS_FLOOR = 0.05


class Enrolment:
    """Duties over clients and what they are given."""

    def __init__(self, store: Store, master_key: str) -> None:
        self._store = store
        self._master_key = master_key

    def enrol(self, request: EnrolRequest, address: str) -> EnrolAnswer:
        """Raises Unauthorized where the token is unknown, expired or used up. Safe to repeat."""
        token = self._store.credentials.take_use(request.token, request.request, datetime.now(timezone.utc))
        if token is None:
            raise Unauthorized(
                "this enrolment token is not valid (wrong, expired or used up): ask the admin for a new link"
            )
        secret = secrets.token_urlsafe(32)
        client = self._store.clients.enrol(
            {
                "_id": f"c{secrets.token_hex(5)}",
                "request": request.request,
                "secret_hash": secret_hash(secret),
                "owner": token["owner"],
                "trusted": bool(token.get("trusted")),
                "token": token_id(token["_id"]),
                "name": request.machine.hostname,
                "address": address,
                "machine": msgspec.to_builtins(request.machine),
                "ceiling": msgspec.to_builtins(request.ceiling),
                "allocation": msgspec.to_builtins(first_allocation(request.ceiling)),
                "seen": self._store.duties.now(),
                "counters": {},
            }
        )
        if client is None:
            raise Unauthorized("an admin retired this machine: ask the admin if it may come back")
        return EnrolAnswer(client=client["_id"], secret=secret, master_key=self._master_key, owner=client["owner"])

    def tokens(self) -> list[EnrolmentTokenView]:
        """Enrolment tokens that are still valid, the newest first."""
        found = self._store.credentials.enrolment_tokens(datetime.now(timezone.utc))
        clients = self._store.clients.by_token([token_id(each["_id"]) for each in found])
        return [_token_view(each, clients.get(token_id(each["_id"]), 0)) for each in found]

    def revoke(self, token: str, *, retire: bool = False) -> list[str]:
        """No machine can enrol, nor enrol again, with this token; with `retire` those that came by it are retired.
        Returns which. Raises NotFound where there is nothing (left) to do."""
        found = self._store.credentials.revoke("enrolment", token)
        clients = self._store.clients.of_token(token) if retire else []
        if found is None and not clients:
            raise NotFound(f"there is no enrolment token {token}: it was revoked, or has expired")
        for client in clients:
            self._store.clients.retire_one(client)
        return clients

    def allocate(self, client: Document, change: AllocationChange, version: int) -> Allocation:
        """Give a client another allocation. Raises InvalidAllocation, PreconditionFailed (changed by someone else)."""
        check_allocation(change, msgspec.convert(client["ceiling"], Ceiling))
        allocation = Allocation(
            version=version + 1,
            containers=change.containers,
            cpus=change.cpus,
            memory=change.memory,
            paused=change.paused,
        )
        if not self._store.clients.allocate(client["_id"], version, msgspec.to_builtins(allocation)):
            raise PreconditionFailed("this allocation was changed by someone else meanwhile: look at it again")
        return allocation


def _token_view(found: Document, clients: int) -> EnrolmentTokenView:
    return EnrolmentTokenView(
        id=token_id(found["_id"]),
        owner=found["owner"],
        trusted=bool(found.get("trusted")),
        uses_left=found["uses"],
        clients=clients,
        created=f"{found['created'].isoformat(timespec='seconds')}Z",
        expires=f"{found['expires'].isoformat(timespec='seconds')}Z",
        made_by=found.get("made_by", ""),
    )


def first_allocation(ceiling: Ceiling) -> Allocation:
    """All that the volunteer allows, in equal containers."""
    containers = max(1, ceiling.containers)
    return Allocation(
        version=1,
        containers=containers,
        cpus=max(CPUS_FLOOR, math.floor(ceiling.cpus / containers * 1000) / 1000),
        memory=max(MEMORY_FLOOR, ceiling.memory // containers),
    )


def check_allocation(change: AllocationChange, ceiling: Ceiling) -> None:
    """Raises InvalidAllocation where it is not a possible one within the ceiling; says which part and its range."""
    for _, reason in allocation_violations(change, ceiling):
        raise InvalidAllocation(reason)


def allocation_violations(change: AllocationChange, ceiling: Ceiling) -> Iterator[tuple[str, str]]:
    """(field, what is wrong with it) for all that makes the change impossible. Not a number is never possible."""
    possible = 0 <= change.containers <= ceiling.containers
    containers, cpus, memory = max(1, change.containers) if possible else 1, change.cpus, change.memory
    if not possible:
        yield "containers", f"containers must be between 0 and {ceiling.containers}, the volunteer's ceiling"
    if not cpus >= CPUS_FLOOR:
        yield "cpus", f"CPUs per container must be at least {CPUS_FLOOR}"
    elif not containers * cpus <= ceiling.cpus + 1e-6:
        yield "cpus", f"{_so_many(containers)} of {cpus:g} CPUs: the volunteer's ceiling is {ceiling.cpus:g} in all"
    if not memory >= MEMORY_FLOOR:
        yield "memory", f"memory per container must be at least {MEMORY_FLOOR >> 20} MiB"
    elif not containers * memory <= ceiling.memory:
        most = f"the volunteer's ceiling is {ceiling.memory >> 20} MiB in all"
        yield "memory", f"{_so_many(containers)} of {memory >> 20} MiB: {most}"


def _so_many(containers: int) -> str:
    return f"{containers} containers" if containers > 1 else "a container"
