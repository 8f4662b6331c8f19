"""Taking in a job: everything that could make it fail is asked before anything is stored."""

import secrets
import time
from collections.abc import Sequence

import msgspec

from dockercomp.protocol.errors import InvalidJob, UnknownImage
from dockercomp.protocol.job_rules import check_spec
from dockercomp.protocol.orders import ORDER_VERSION, ImagePin, JobOrder, JobSpec, ProgramSpec, StageOrder, encode_order
from dockercomp.protocol.signing import sign_order
from dockercomp.protocol.views import InputFile, SubmitRequest
from server import splitting
from server.store import Store
from server.store.connection import Document

_SPLITS_WITHOUT_INPUT = frozenset({"range"})


class Submission:
    """Duty: turn a request into a running job."""

    def __init__(self, store: Store, signing_seed: bytes) -> None:
        self._store = store
        self._seed = signing_seed

    def submit(self, owner: str, request: SubmitRequest, idempotency_key: str) -> Document:
        """Store the job. Raises InvalidJob, UnknownImage. The same owner and key give the same job again."""
        spec = request.spec
        check_spec(spec)
        self._check_blobs(request)
        total = _chunks(spec, request.inputs)
        pin = self._pin(spec.image)
        job = f"j{secrets.token_hex(5)}"
        signed = sign_order(job, encode_order(_order(job, spec, pin, request.program)), self._seed)
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
            "inputs": self._store.blobs.put(msgspec.json.encode(_in_order(spec, request.inputs))),
            "order": signed.body,
            "signature": signed.signature,
            "key": signed.key,
            "stage": 0,
            "total": total,
            "cursor": 0,
            "open_ranges": [],
            "counters": {},
            "stages": [{"name": "map", "total": total}, *([{"name": "reduce", "total": 1}] if spec.reduce else [])],
        }
        if idempotency_key:
            document["idempotency_key"] = idempotency_key
        return self._store.jobs.insert(document)

    def _check_blobs(self, request: SubmitRequest) -> None:
        if request.program and not self._store.blobs.has(request.program):
            raise InvalidJob("the job folder was not uploaded; upload it, then submit again")
        for file in request.inputs:
            if not self._store.blobs.has(file.digest) or self._store.blobs.received(file.digest) != file.size:
                raise InvalidJob(f"the input {file.name} was not uploaded whole; upload it, then submit again")

    def _pin(self, name: str) -> ImagePin:
        image = self._store.images.named(name)
        if image is None:
            known = ", ".join(sorted({found["name"] for found in self._store.images.all()})) or "none yet"
            raise UnknownImage(
                f"the master has no image {name}; push it with `dockercomp image push {name}`. It has: {known}"
            )
        return ImagePin(name=image["name"], config_digest=image["config_digest"], platform=image["platform"])


def _order(job: str, spec: JobSpec, pin: ImagePin, program: str) -> JobOrder:
    return JobOrder(
        version=ORDER_VERSION,
        job=job,
        name=spec.name,
        image=pin,
        program=program,
        split=spec.input.split,
        stages=_stages(spec),
        parameters=spec.input.parameters,
        setup=spec.setup,
        resources=spec.resources,
        environment=spec.environment,
    )


def _stages(spec: JobSpec) -> list[StageOrder]:
    """What the worker runs in each stage."""
    reduce = spec.reduce
    if reduce is None:
        return [StageOrder(program=spec.map, combine=spec.combine)]
    by_key = reduce.partitions if not spec.map.outputs else 1
    program = ProgramSpec(command=reduce.command, function=reduce.function, outputs=reduce.outputs)
    return [
        StageOrder(program=spec.map, combine=spec.combine, partitions=by_key),
        StageOrder(program=program, sort_input=reduce.sort),
    ]


def _chunks(spec: JobSpec, inputs: Sequence[InputFile]) -> int:
    if spec.input.split in _SPLITS_WITHOUT_INPUT:
        if inputs:
            raise InvalidJob(f"a {spec.input.split} split reads no input files, but {len(inputs)} were given")
    elif not inputs:
        raise InvalidJob(f"a {spec.input.split} split needs at least one input file")
    total = splitting.count(spec.input, inputs)
    if total < 1:
        raise InvalidJob("the input is empty: there is nothing to compute")
    return total


def _in_order(spec: JobSpec, inputs: Sequence[InputFile]) -> list[InputFile]:
    """Files are dealt out in the order of their names; the inputs of other splits keep the order given."""
    return sorted(inputs, key=lambda file: file.name) if spec.input.split == "files" else list(inputs)
