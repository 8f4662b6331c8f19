"""A running job, and which clients can run it: what duties ask of documents. Pure, no I/O."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from dockercomp.protocol.orders import NUMBER_SPLITS, JobSpec
from server import blame, dealing, lifecycle, pausing, trust, wants
from server.allocations import CPUS_CLOSE
from server.dealing import Pool
from server.lifecycle import Chunk, Rules
from server.reputations import refusal
from server.store.connection import Document

_SLOW_LINE = 125_000
"""Bytes a second of a line of 1 Mbit/s."""

_UNKNOWN_S = 1.0
"""How long a chunk is taken to run while none of its job has."""
_SHORTEST_S = 0.001


@dataclass(frozen=True)
class RunningJob:
    """A running job as scheduling needs it."""

    document: Document
    spec: JobSpec

    @property
    def id(self) -> str:
        return str(self.document["_id"])

    @property
    def owner(self) -> str:
        return str(self.document["owner"])

    @property
    def expected_s(self) -> float:
        """How long a run of one of its chunks takes, by those that ran."""
        counters = self.document.get("counters", {})
        return max(_SHORTEST_S, counters["run_s"] / counters["runs"]) if counters.get("runs") else _UNKNOWN_S

    @property
    def stages(self) -> list[Document]:
        return stages_of(self.document)

    @property
    def fresh(self) -> list[int]:
        """The stages that have chunks which nobody was given yet, lowest first."""
        return [n for n, stage in enumerate(self.stages) if stage["cursor"] < stage["limit"]]

    def deadline_of(self, granted: float) -> float:
        """The deadline of a lease granted at that time."""
        return granted + deadline_s(self.spec)

    def granted(self, deadline: float) -> float:
        """When a lease of that deadline was granted."""
        return deadline - deadline_s(self.spec)


def running_job(document: Document) -> RunningJob:
    return RunningJob(document, msgspec.convert(document["spec"], JobSpec))


def stages_of(document: Document) -> list[Document]:
    """A job's stages in order."""
    return [document["stages"][str(number)] for number in range(len(document["stages"]))]


def last_stage(document: Document) -> int:
    """The stage whose results are the job's."""
    return max(number for number, stage in enumerate(stages_of(document)) if not stage["check"])


def rules_of(spec: JobSpec, stage: int) -> Rules:
    """Quorum and retries of a stage's chunks. People's answers count alike: of them `adaptive` asks for a quorum."""
    if is_adaptive(spec, stage):
        return Rules(quorum=1, retries=spec.retries, full=max(2, spec.verify.quorum))
    return Rules(quorum=1 if spec.verify.policy == "none" else spec.verify.quorum, retries=spec.retries)


def is_adaptive(spec: JobSpec, stage: int) -> bool:
    return spec.verify.policy == "adaptive" and not asks_people(spec, stage)


def on_trial(job: RunningJob) -> bool:
    """Whether too few chunks of a job that is verified have agreed yet."""
    if job.spec.verify.policy == "none" or asks_people(job.spec, 0):
        return False
    chunks = sum(stage["total"] for stage in job.stages)
    return bool(job.document.get("counters", {}).get("confirmed", 0) < min(trust.TRIAL, chunks))


def full_quorum(spec: JobSpec) -> int:
    """Equal results that a checked chunk of the map needs."""
    rules = rules_of(spec, 0)
    return max(rules.quorum, rules.full)


def asks_people(spec: JobSpec, stage: int) -> bool:
    """Whether a stage's chunks are questions: people get them, and clients never do."""
    return stage == 0 and spec.map.question is not None


def only_people(job: RunningJob) -> bool:
    """Whether there is nothing (yet) that a client could do of this job."""
    reducers = stages_of(job.document)[1:]
    return asks_people(job.spec, 0) and all(stage["limit"] == 0 for stage in reducers)


def unfit(job: RunningJob, client: Document, platform: str) -> str:
    """Why this client cannot run the job, in one sentence; empty where it can."""
    if only_people(job):
        return f"job {job.id} asks people, not machines"
    if why := paused(client) or not_given(job, client):
        return why
    if job.document["image"]["platform"] != platform:
        return f"job {job.id} needs {job.document['image']['platform']}, this client is {platform}"
    if job.spec.verify.same_cpu and not (client.get("machine") or {}).get("cpu_kind"):
        return f"job {job.id} compares results within a kind of CPU, and this client's worker does not tell its own"
    if why := refusal(client, job.id):
        return f"this client gets no work of job {job.id}: {why}"
    if why := wants.refusal(job.id, job.spec, client):
        return why
    refused = {entry["job"]: entry["reason"] for entry in client.get("refused_jobs") or []}
    if job.id in refused:
        return f"this client refuses job {job.id}: {refused[job.id]}"
    return fault(client, job.id)


def paused(client: Document) -> str:
    """That an admin has paused a client, and the way out; empty where not."""
    if not client["allocation"].get("paused"):
        return ""
    return f"paused by the admin: resume it on its page, or: dockercomp allocate {client['_id']} --resume"


def not_given(job: RunningJob, client: Document) -> str:
    """Why what a client is given does not do for a job, and the way out; empty where it does."""
    allocation = client.get("applied") or client["allocation"]
    patterns = client["allocation"].get("jobs") or []
    if not any(fnmatchcase(name, each) for each in patterns for name in (job.id, job.spec.name)) and patterns:
        return f"this client is given jobs {', '.join(patterns)} only: the admin can add {job.spec.name} on its page"
    need, given = job.spec.resources.memory, allocation["memory"]
    if given < need:
        return f"job {job.id} needs {need >> 20} MiB of memory a container, this client has {given >> 20} MiB"
    least, width = job.spec.resources.least_cpus, width_of(client)
    if width + CPUS_CLOSE < least:
        return f"job {job.id} needs {least:g} CPUs a container (least_cpus), this client can give one {width:g}"
    return ""


def width_of(client: Document) -> float:
    """CPUs that one container of a client may come to have: its own, or all where they are divided among those that
    compute."""
    allocation = client.get("applied") or client["allocation"]
    fixed = client["allocation"].get("policy", "fixed") == "fixed"
    return float(allocation["cpus"] * (1 if fixed else max(1, allocation["containers"])))


def ends(job: RunningJob | None, client: Document, deadline: float) -> float:
    """When a lease of that deadline ends which this client has: pauses make it longer, as far as its job runs."""
    if job is None or not client.get("pauses"):
        return deadline
    return pausing.extended(deadline, job.granted(deadline), client["pauses"], client["seen"])


def fault(client: Document, job: str) -> str:
    """Why a client is itself to blame for failing chunks of a job; empty where it is not."""
    counted = counted_of(client, job)
    to_blame = blame.machine_to_blame(counted.faults, counted.runs) and counted.session == client.get("session")
    return blame.faulty(job, counted.faults) if to_blame else ""


def faults_of(client: Document) -> list[str]:
    """The same, for all running jobs."""
    jobs = client.get("counters", {}).get("jobs", {})
    return [why for job in jobs if (why := fault(client, job))]


class Counted(msgspec.Struct, frozen=True):
    """What a client did of one job: runs that gave a result and their seconds, and chunks that it failed and others
    completed, the last of them in the session `session` of its daemon."""

    runs: int = 0
    seconds: float = 0.0
    faults: int = 0
    session: str = ""


def counted_of(client: Document, job: str) -> Counted:
    found = client.get("counters", {}).get("jobs", {}).get(job)
    return msgspec.convert(found, Counted) if found else Counted()


def able_of(job: RunningJob, pool: Sequence[Document]) -> list[Document]:
    """Those of the clients that can run the job now."""
    return [client for client in pool if not unfit(job, client, platform_of(client))]


def able(job: RunningJob, pool: Sequence[Document]) -> list[str]:
    """Their ids."""
    return [client["_id"] for client in able_of(job, pool)]


def speed_of(client: Document, job: str) -> float | None:
    """Chunks of the job that a client runs a second; None where it was not measured yet."""
    counted = counted_of(client, job)
    return dealing.speed(counted.runs, counted.seconds, containers_of(client))


def portion_of(job: RunningJob, client: Document, left: int) -> int:
    """How many of the `left` fresh chunks of a stage a client may take now, by the pool's speed as last noted."""
    noted = job.document.get("pool")
    return dealing.portion(left, speed_of(client, job.id), Pool(**noted)) if noted else left


def platform_of(client: Document) -> str:
    return str((client.get("machine") or {}).get("platform", ""))


def deadline_s(spec: JobSpec) -> float:
    """How long a lease lasts: room for the chunk's own limit, as much again waiting in the client's queue, and the
    chunk's way over a slow line."""
    way = 0.0 if spec.input.split in NUMBER_SPLITS else spec.input.chunk_size / _SLOW_LINE
    return 2 * spec.resources.time_limit + 600 + way


def containers_of(client: Document) -> int:
    return int((client.get("applied") or client["allocation"])["containers"])


def leased_s_ago(job: RunningJob, chunk: Chunk, now: float) -> float:
    """How long ago the oldest live lease of a chunk was granted; 0 where there is none."""
    granted = [job.granted(r.deadline) for r in chunk.replicas if r.state in lifecycle.LIVE]
    return now - min(granted) if granted else 0.0
