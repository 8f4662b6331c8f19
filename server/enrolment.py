"""Making clients of machines: an enrolment token lets in, a secret of its own lets a client speak from then on."""

import math
import secrets
from collections.abc import Iterator
from datetime import datetime, timezone

import msgspec

from dockercomp.protocol.errors import InvalidAllocation, PreconditionFailed, Unauthorized
from dockercomp.protocol.messages import Allocation, Ceiling, EnrolAnswer, EnrolRequest
from dockercomp.protocol.views import AllocationChange
from server.store import Store
from server.store.connection import Document
from server.store.credentials import secret_hash

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
                "name": request.machine.hostname,
                "address": address,
                "machine": msgspec.to_builtins(request.machine),
                "ceiling": msgspec.to_builtins(request.ceiling),
                "allocation": msgspec.to_builtins(first_allocation(request.ceiling)),
                "seen": self._store.duties.now(),
                "counters": {},
            }
        )
        return EnrolAnswer(client=client["_id"], secret=secret, master_key=self._master_key, owner=client["owner"])

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
