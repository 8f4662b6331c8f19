"""For each route that takes a body, one that it takes: what mutants are made of."""

import hashlib
from typing import Any

import msgspec

from dockercomp.protocol.messages import (
    PROTOCOL,
    AppliedAllocation,
    ContainerReport,
    EnrolRequest,
    Failure,
    PartReport,
    RefusedJob,
    ResultReport,
    RunningReport,
    SyncRequest,
)
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import AllocationChange, GroupChange, GroupRule, SubmitRequest
from tests.fuzz.target import Target
from tests.integration.simulated import CEILING, MACHINE


def of(here: Target) -> dict[str, bytes]:
    submit = msgspec.json.encode(_submit())
    told: dict[str, Any] = {
        "enrol": EnrolRequest(token=here.world.master.token, machine=MACHINE, ceiling=CEILING, request="again"),
        "sync": _sync(here),
        "blobs_missing": {"digests": [*here.things["digest"], "0" * 64]},
        "image_register": {"name": "lab/tool:1", "archive": here.things["digest"][0], "size": 9},
        "image_pull": {"name": "registry.invalid/lab/tool:1", "platform": "linux/amd64"},
        "client_allocate": AllocationChange(containers=2, cpus=1.5, memory=1 << 30, jobs=["odd"], priority="high"),
        "client_tags": {"tags": ["night", "lab-a"]},
        "group_set": GroupChange(rule=GroupRule(tags=["night"], name="pc*", least_cpus=1.5), cpus=0.5, containers=2),
        "enrolment_token": {"owner": "lab", "uses": 3, "valid_hours": 24, "trusted": True},
        "client_forgive": {"reason": "new memory"},
        "person_add": {"name": "zoe", "role": "scientist"},
        "quota_set": {"jobs": 3, "stored": 1 << 40, "chunks": 10, "images": 2},
        "person_role": {"role": "viewer"},
        "token_create": {"label": "x", "scope": "read", "own": True, "valid_days": 1.5},
        "scientist_key_register": {"proof": "cHJvb2Y=", "label": "pc"},
    }
    return {name: msgspec.json.encode(value) for name, value in told.items()} | {
        "submit": submit,
        "job_forecast": submit,
    }


def _submit() -> SubmitRequest:
    spec = JobSpec(
        name="odd",
        image="i",
        input=InputSpec(split="range", start=0, stop=20, per_chunk=2),
        map=ProgramSpec(command=["true"]),
        reduce=ReduceSpec(command=["cat"]),
        verify=VerifySpec(policy="quorum", quorum=2, compare="numbers"),
        retries=2,
    )
    # Every field is on the wire, so that mutants reach all of them.
    return SubmitRequest(spec=spec)


def _sync(here: Target) -> SyncRequest:
    leases, job = here.things["lease"], here.things["job"][1]
    payload = b"a result"
    done = ResultReport(
        lease=leases[0],
        outcome="done",
        digest=hashlib.sha256(payload).hexdigest(),
        size=len(payload),
        payload=payload,
        cpu_s=1.5,
        wall_s=2,
        memory_peak=1 << 20,
        cpus_limit=1,
        memory_limit=1 << 30,
        log="said",
        input_digest="0" * 64,
    )
    failed = ResultReport(lease=leases[-1], outcome="failed", failure=Failure(reason="exit", message="it", exit_code=1))
    running = RunningReport(
        lease=leases[1 % len(leases)], seconds=9, progress=0.5, message="half", log=b"x", output=b"y"
    )
    container = ContainerReport(
        name="c", id="i", job=job, state="running", image="i", cpus_planned=1, cpus_limit=1, memory_limit=1, cpus_used=1
    )
    part = PartReport(part="cpus", state="verified", actual="1 CPU each", why="put right: 2 CPUs")
    return SyncRequest(
        protocol=PROTOCOL,
        session="s",
        seq=9,
        held=leases,
        results=[done, failed],
        running=[running],
        want=2,
        known_jobs=[job],
        refused_jobs=[RefusedJob(job=job, reason="not here")],
        containers=[container],
        applied=AppliedAllocation(version=1, containers=1, cpus=1, memory=1, verified=True, note="so", parts=[part]),
        machine=MACHINE,
        ceiling=CEILING,
        load=0.5,
        status="at work",
        problems=["configuration, line 3: not used"],
    )
