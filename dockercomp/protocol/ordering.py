"""What follows from a job's specification for the workers that run it: the same for the master and the scientist."""

from msgspec.structs import replace

from .orders import ORDER_VERSION, ImagePin, JobOrder, JobSpec, ProgramSpec, StageOrder, outputs_of


def held_to(image: str) -> tuple[str, str]:
    """A job's `image` as the name that the master knows, and the config digest that it must have there (empty: any):
    `lab/tool@sha256:…` holds it to what the scientist means."""
    name, _, digest = image.partition("@")
    return name.removesuffix(":latest"), digest


def order_of(spec: JobSpec, pin: ImagePin, program: str, job: str = "") -> JobOrder:
    """The order of a job; `job` is empty while the master has given it no id, `program` the digest of its folder."""
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
        priority=spec.priority,
        wants=spec.wants,
        environment=spec.environment,
    )


def _stages(spec: JobSpec) -> list[StageOrder]:
    """What the worker runs in each stage."""
    mapper = _explicit(spec.map)
    reduce = spec.reduce
    if reduce is None:
        return [StageOrder(program=mapper, combine=spec.combine)]
    by_key = reduce.partitions if not mapper.outputs else 1
    reducer = _explicit(ProgramSpec(command=reduce.command, function=reduce.function, outputs=reduce.outputs))
    return [
        StageOrder(program=mapper, combine=spec.combine, partitions=by_key),
        StageOrder(program=reducer, sort_input=reduce.sort),
    ]


def _explicit(program: ProgramSpec) -> ProgramSpec:
    """With the patterns that go without saying."""
    return replace(program, outputs=outputs_of(program))
