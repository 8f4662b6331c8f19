"""How many independent results of one chunk a pool of clients can give. Pure, no I/O."""

from collections.abc import Sequence

from dockercomp.protocol.orders import JobSpec
from server.running import asks_people, full_quorum
from server.scheduling import grantee
from server.store.connection import Document


def reach(spec: JobSpec, clients: Sequence[Document]) -> int:
    """The most results that count together: of different clients, owners or address blocks, within one class, as the
    job asks. One trusted client is enough for any quorum."""
    if asks_people(spec, 0):
        return full_quorum(spec)
    if any(client.get("trusted") for client in clients):
        return max(full_quorum(spec), len(clients))
    seekers = [grantee(client, spec) for client in clients]
    found = 0
    for kind in {to.cpu_kind for to in seekers}:
        ours = [to for to in seekers if to.cpu_kind == kind]
        owners, blocks = {to.owner for to in ours}, {to.block for to in ours} - {""}
        found = max(found, {"client": len(ours), "owner": len(owners)}.get(spec.verify.independent, 0))
        if spec.verify.independent == "address":
            found = max(found, min(len(owners), len(blocks)))
    return found


def shortfall(spec: JobSpec, clients: Sequence[Document]) -> str:
    """Why these clients, who can run the job, cannot agree on a chunk, and the way out; empty where they can."""
    needed, here = full_quorum(spec), reach(spec, clients)
    if here >= needed:
        return ""
    of_kind = " of one kind of CPU" if spec.verify.same_cpu else ""
    what, way_out = {
        "client": ("different clients", "or submit with a smaller quorum"),
        "owner": ("clients of different owners", 'or submit with independent = "client"'),
        "address": ("clients of different owners and address blocks", 'or submit with independent = "client"'),
    }[spec.verify.independent]
    checked = "a result that is checked" if spec.verify.policy == "adaptive" else f"a quorum of {needed}"
    return f"{checked} needs {needed} {what}{of_kind}, and {here} can run this job now: connect more clients, {way_out}"
