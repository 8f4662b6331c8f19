"""Taking in a job: everything that could make it fail is asked before anything is stored."""

import copy
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from dockercomp.protocol.errors import InvalidJob, NotFound, UnknownImage
from dockercomp.protocol.job_rules import check_spec
from dockercomp.protocol.ordering import held_to, order_of
from dockercomp.protocol.orders import ImagePin, JobSpec, encode_order
from dockercomp.protocol.signing import sign_order
from dockercomp.protocol.views import SubmitRequest
from server import plan
from server.listing import Listing
from server.reuse import MOST_EARLIER, Reuse, recipe
from server.rights import EVERYTHING, Reach
from server.running import rules_of
from server.scientists import Scientists
from server.sources import Sources
from server.store import Store
from server.store.connection import Document
from server.store.contents import Held, read_all
from server.store.images import pin_of
from server.tables import Table
from server.wants import wanted

_TAKEN_OVER_AT_ONCE = 10_000
"""Chunks of a job whose earlier results are taken over while it is submitted; of larger ones by housekeeping."""
MOST_SECTIONS = 5_000_000
"""Chunks times partitions: listing them for the reducers takes about 10 s a million."""


class InputsOfJobs:
    """What follows from a job's inputs: their table, and how many chunks each stage has."""

    def __init__(self, store: Store, sources: Sources, *, private_urls: bool) -> None:
        self._store = store
        self.listing = Listing(store, sources, private_urls=private_urls)
        self.reuse = Reuse(store, sources)

    def within(self, reach: Reach) -> "InputsOfJobs":
        """The same for somebody for whom nothing else exists: it cannot be an input."""
        found = copy.copy(self)
        found.listing = self.listing.within(reach)
        return found

    def inputs_of(self, owner: str, recipe: str, spec: JobSpec, request: SubmitRequest) -> Document:
        """The fields of a job's document that follow from its inputs. Raises InvalidJob."""
        listed = self.listing.make(spec.input, request.inputs, request.input_list)
        check_sections(spec, listed.chunks)
        fields: Document = {"inputs": listed.table, "stages": _stages_of(spec, listed.chunks)}
        earlier = self.reuse.earlier(owner, recipe, spec)
        if earlier:
            fields["reuse"] = [job["_id"] for job in earlier]
            fields["stages"]["0"]["limit"] = 0  # until the chunks that are here already are taken over
        return fields | _origins(request, earlier)

    def resolve(self, job: Document) -> bool:
        """Let a job that waits for others' results begin, once these are there, or fail where they never will be;
        True where it moved."""
        try:
            asked = msgspec.json.decode(read_all(self._store.blobs.open(job["asked"])), type=SubmitRequest)
            if self.listing.waits_for(asked.inputs):
                return False
            inputs = self.inputs_of(job["owner"], job["recipe"], asked.spec, asked)
        except (InvalidJob, NotFound) as error:
            return self._store.jobs.end(job["_id"], "failed", {"error": str(error)})
        return self._store.jobs.begin_after_waiting(job["_id"], inputs)


def _origins(request: SubmitRequest, earlier: Sequence[Document]) -> Document:
    """The jobs whose results it reads (`chained`), and with them those whose chunks it may take over (`built_on`): what
    has to be known where one of them turns out to be wrong."""
    chained = {each.job for each in request.inputs if each.job}
    reused = {name for job in earlier for name in (job["_id"], *job.get("built_on", []))}
    found = {"chained": sorted(chained), "built_on": sorted(chained | reused)}
    return {key: names for key, names in found.items() if names}


def check_sections(spec: JobSpec, chunks: int) -> None:
    """Raises InvalidJob where what all chunks give comes to too many sections to be listed for the reducers."""
    partitions = spec.reduce.partitions if spec.reduce else 1
    if partitions > 1 and chunks * partitions > MOST_SECTIONS:
        raise InvalidJob(
            f"{chunks} chunks divided into {partitions} partitions are more than {MOST_SECTIONS:,} sections; choose a"
            " larger chunk_size, or fewer partitions"
        )


@dataclass(frozen=True)
class Outlook:
    """`left` counts the replicas of the map that must be run, `chunk_s` how long one ran in an earlier job."""

    pin: ImagePin
    waits_for: list[str] = field(default_factory=list)
    chunks: int = 0
    reused: int = 0
    left: int = 0
    chunk_s: float | None = None


class Submission:
    """Duty: turn a request into a running job."""

    def __init__(self, store: Store, signing_seed: bytes, sources: Sources, *, private_urls: bool = False) -> None:
        self._store = store
        self._seed = signing_seed
        self._scientists = Scientists(store)
        self._inputs = InputsOfJobs(store, sources, private_urls=private_urls)

    def submit(self, owner: str, request: SubmitRequest, idempotency_key: str, reach: Reach = EVERYTHING) -> Document:
        """Store the job; it may read what is within the submitter's `reach`.

        Raises InvalidJob, UnknownImage. The same owner and key give the same job again.
        """
        check_spec(request.spec)
        spec = plan.explicit(request.spec)
        given = self._inputs.within(reach)
        if request.program and not given.listing.has(request.program):
            raise InvalidJob("the job folder was not uploaded; upload it, then submit again")
        pin = self._pin(spec.image)
        waits_for = given.listing.waits_for(request.inputs)
        made_by = recipe(spec, pin, request.program)
        inputs: Document = {"inputs": "", "stages": _stages_of(spec, 0)}
        if not waits_for:
            inputs = given.inputs_of(owner, made_by, spec, request)
        job = f"j{secrets.token_hex(5)}"
        order = order_of(spec, pin, request.program, job)
        signed = sign_order(job, encode_order(order), self._seed)
        document: Document = {
            "_id": job,
            "name": spec.name,
            "owner": owner,
            "state": "running",
            "created": time.time(),
            "spec": msgspec.to_builtins(spec),
            "image": msgspec.to_builtins(pin),
            "program": request.program,
            "memory": spec.resources.memory,
            "wants": list[str](wanted(spec)),
            "order": signed.body,
            "signature": signed.signature,
            "key": signed.key,
            **self._scientists.check(owner, request, order),
            "recipe": made_by,
            "learned_from": self._store.jobs.ids_with_recipe(owner, made_by, MOST_EARLIER),
            "open_ranges": [],
            "counters": {},
            **inputs,
        }
        if waits_for:
            asked = SubmitRequest(spec=spec, inputs=request.inputs, input_list=request.input_list)
            document |= {"waits_for": waits_for, "asked": self._store.blobs.put(msgspec.json.encode(asked))}
        if idempotency_key:
            document["idempotency_key"] = idempotency_key
        stored = self._store.jobs.insert(document)
        if stored.get("reuse") and stored["stages"]["0"]["total"] <= _TAKEN_OVER_AT_ONCE:
            self._inputs.reuse.take_over(stored)
            return self._store.jobs.by_id(stored["_id"]) or stored
        return stored

    def outlook(self, owner: str, spec: JobSpec, request: SubmitRequest, reach: Reach = EVERYTHING) -> "Outlook":
        """What is known of a job before it is submitted. Raises InvalidJob, UnknownImage."""
        pin = self._pin(spec.image)
        listing = self._inputs.listing.within(reach)
        waits_for = listing.waits_for(request.inputs)
        if waits_for:
            return Outlook(pin=pin, waits_for=waits_for)
        packed, chunks = listing.outlook(spec.input, request.inputs, request.input_list)
        check_sections(spec, chunks)
        earlier = self._inputs.reuse.earlier(owner, recipe(spec, pin, request.program), spec)
        if not earlier:
            return Outlook(pin=pin, chunks=chunks, left=chunks * rules_of(spec, 0).quorum)
        reused = self._inputs.reuse.count(spec, Table(Held(packed)) if packed else None, earlier)
        return Outlook(
            pin=pin,
            chunks=chunks,
            reused=reused,
            left=(chunks - reused) * rules_of(spec, 0).quorum,
            chunk_s=next(filter(None, (self._store.chunks.mean_run(job["_id"], 0) for job in earlier)), None),
        )

    def _pin(self, name: str) -> ImagePin:
        if not name:  # people answer: nothing is run
            return ImagePin(name="", config_digest="", platform="")
        image = self._store.images.named(name)
        if image is None:
            base, digest = held_to(name)
            image = self._store.images.named(base)
            if image is not None and digest not in ("", image["config_digest"]):
                raise UnknownImage(
                    f"the master's image {base} is {image['config_digest']}, not the one that the job is held to; push"
                    f" that one with `dockercomp image push {base}`, or change the job file"
                )
        if image is None:
            known = ", ".join(sorted({found["name"] for found in self._store.images.all()})) or "none yet"
            raise UnknownImage(
                f"the master has no image {name}; push it with `dockercomp image push {name}`, or let the master pull"
                f" it from its registry with `dockercomp image pull {name}`. It has: {known}"
            )
        return pin_of(image)


def _stages_of(spec: JobSpec, chunks: int) -> Document:
    """The stages as a job's document holds them; only chunks of the map may be handed out at first."""
    planned = plan.stages(spec, chunks) if chunks else plan.stages(spec, 1)
    return {
        str(number): {
            "name": stage.name,
            "reads": stage.reads,
            "check": stage.check,
            "total": stage.total if chunks else 0,
            "limit": chunks if number == 0 else 0,
            "cursor": 0,
        }
        for number, stage in enumerate(planned)
    }
