"""A job as the scientist declares it (JobSpec) and as a worker is ordered to run it (JobOrder, signed).

Sizes in bytes, times in seconds, CPUs in cores. The job file's own notation ("8 MiB", "10 min") is read by
dockercomp.jobfile; on the wire there are only numbers.
"""

from typing import Literal

import msgspec

from .messages import Message

Split = Literal["lines", "bytes", "records", "files", "csv", "jsonl", "range", "product"]
BYTE_SPLITS = frozenset({"lines", "bytes", "records", "csv", "jsonl"})
"""Splits whose chunks are spans of bytes of one input each."""
NUMBER_SPLITS = frozenset({"range", "product"})
"""Splits that read no input: a chunk is the numbers [start, stop)."""

Parameter = str | int | float | bool


class InputSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    split: Split
    chunk_size: int = 8 * 1024 * 1024
    """lines, bytes, records, csv, jsonl: bytes a chunk (whole lines or records)."""
    record_size: int = 0
    """records: bytes a record."""
    files_per_chunk: int = 1
    start: int = 0
    stop: int = 0
    per_chunk: int = 1
    """range: numbers start, start+1 … stop-1, per_chunk of them a chunk; product: combinations a chunk."""
    parameters: dict[str, list[Parameter]] = {}
    """product: the values of each parameter. Combination n counts the last parameter fastest (itertools.product)."""
    include: list[str] = []
    """Patterns (fnmatch, over the path below the INPUT folder) of the files to take of folders and archives; all
    where there are none. Read by the scientist's side alone."""
    unpack: bool | None = None
    """Whether compressed inputs and archives are unpacked before they are sent. None: for all splits but files."""
    fetch: Literal["master", "workers"] = "master"
    """Who reads inputs that are URLs."""


class ProgramSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a stage is run: exactly one of `command` (argument vector), `function` (`module:name`) and `question`."""

    command: list[str] | None = None
    function: str | None = None
    question: str | None = None
    """Map only: asked of people in the browser about each file, instead of a program."""
    choices: list[str] = []
    """The answers to choose from; a chunk's result is the one chosen and a newline. Empty: free text."""
    outputs: list[str] = []
    """Patterns (protocol.patterns) of files that make up the result, instead of standard output: below the working
    directory, or below {output_dir} where the command has it. The result is a bundle. Each pattern must match at least
    one file. {output_dir} without patterns: `**`."""


class ReduceSpec(ProgramSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    partitions: int = 1
    """Above 1: results of the map are lines `key TAB value` (or `key`), and reducer r gets those whose key falls to
    it (protocol.partition). Where the map has `outputs`, there is a reducer for each pattern instead."""
    fan_in: int = 0
    """From 2: a tree. Each reducer gets that many results of the level below; its output is its own input format."""
    sort: bool = False
    """The reducer's input is sorted by lines, as by `LC_ALL=C sort`, and so is what several reducers gave."""


Independence = Literal["client", "owner", "address"]
"""What replicas of a chunk differ in: in the client; in the owner, too; or in the owner and the address block."""


class VerifySpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    policy: Literal["none", "quorum", "adaptive"] = "quorum"
    quorum: int = 2
    """quorum: the agreeing results that each chunk needs. adaptive: those that it needs once it is checked."""
    floor: float = 0.02
    """adaptive: least chance of a check, whatever the reputation; 0.02 to 1. Canaries come besides, a quarter of it."""
    target_error: float = 0.0
    """adaptive: the largest share of wrong accepted chunks that the scientist wants, such as 1e-4 (job file:
    "1 in 10000"); more is checked where the floor would not give it. 0: what the floor gives."""
    independent: Independence = "client"
    """What replicas of a chunk must differ in; another owner, address block and enrolment token is always preferred."""
    same_cpu: bool = False
    """The result depends on the kind of CPU: replicas are compared within a class of machines (Machine.cpu_kind)."""
    compare: Literal["bytes", "lines", "json", "numbers", "csv", "image"] = "bytes"
    rtol: float = 0.0
    atol: float = 0.0
    """json, numbers, csv: numbers x, y are equal where |x - y| <= atol + rtol * max(|x|, |y|) …"""
    ulp: int = 0
    """… or where at most so many doubles lie between them."""
    pixel: int = 0
    """image: largest difference of a channel of a pixel, 0 to 255."""
    columns: dict[str, "ColumnRule"] = {}
    """csv: how single columns are compared, by their name in the header; others by the rules above."""


class ColumnRule(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    compare: Literal["text", "number", "ignore"] = "text"
    rtol: float = 0.0
    atol: float = 0.0
    ulp: int = 0


Want = Literal["network", "disk", "device", "writable_root", "capabilities"]
"""What a job may ask for beyond the locked default; refused where the volunteer's configuration does not allow it."""


class WantsSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """More than the locked default: no network, read-only root, no capability, no device, scratch of at most
    WANTLESS_DISK. Never to be had: a privileged container, the host's namespaces, Docker's socket, the host's paths."""

    network: bool = False
    """Outbound connections to public addresses, never to the volunteer's own network."""
    writable_root: bool = False
    capabilities: list[str] = []
    """Of CAPABILITIES."""
    devices: list[str] = []
    """Of DEVICES."""
    reason: str = ""
    """Why, in a sentence, for the volunteer."""


CAPABILITIES = frozenset({"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SYS_NICE"})
DEVICES = frozenset({"/dev/kvm", "/dev/dri", "/dev/fuse"})
WANTLESS_DISK = 4 * 2**30
"""Scratch, in bytes, that a container may have without consent to the want `disk`."""


def wants_of(wants: "WantsSpec", disk: int) -> list[Want]:
    """What needs the volunteer's consent; `disk` is the scratch of a container."""
    asked: dict[Want, bool] = {
        "network": wants.network,
        "disk": disk > WANTLESS_DISK,
        "device": bool(wants.devices),
        "writable_root": wants.writable_root,
        "capabilities": bool(wants.capabilities),
    }
    return [want for want, is_asked in asked.items() if is_asked]


class ResourcesSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cpus: float = 1.0
    """The width that a chunk can use."""
    least_cpus: float = 0.0
    """The width below which a chunk is of no use: a client that cannot give it gets none. 0: any."""
    sweep: bool = False
    """Its first chunks run at several widths up to `cpus`, so that its speed-up is known early."""
    memory: int = 256 * 1024 * 1024
    disk: int = 64 * 1024 * 1024
    time_limit: float = 600.0


class PlotSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A picture drawn of a job's result. The data is CSV, TSV or `key TAB value` lines, told by its first line."""

    kind: Literal["bar", "line", "histogram", "image"]
    title: str = ""
    file: str = ""
    """Which file of the result (a pattern; the first that matches); empty: the result itself, or its first file."""
    x: str = ""
    """A column by name or by number from 1; empty: the first."""
    y: list[str] = []
    """Columns by name or number; empty: the second (histogram: the first)."""
    x_label: str = ""
    y_label: str = ""
    sort: Literal["none", "x", "y"] = "none"
    """y: largest first."""
    top: int = 0
    """Only the first so many after sorting; 0: all."""
    bins: int = 30
    """histogram"""


class JobSpec(Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    image: str = ""
    """Needed, except where the map is a question."""
    input: InputSpec
    map: ProgramSpec
    combine: ProgramSpec | None = None
    """Run on the sorted output of each map chunk, in its container, before it is partitioned and verified."""
    reduce: ReduceSpec | None = None
    verify: VerifySpec = VerifySpec()
    resources: ResourcesSpec = ResourcesSpec()
    wants: WantsSpec = WantsSpec()
    environment: dict[str, str] = {}
    setup: list[str] = []
    """A command run once in each container, before its first chunk; what it leaves in $DC_SETUP stays."""
    retries: int = 3
    """Failed replicas of one chunk after which it is given up."""
    priority: int = 0
    """Among the jobs of one owner: higher first, -100 to 100."""
    reuse: bool = True
    """Take verified results of an earlier job with the same program, image and input."""
    notify: list[str] = []
    """Told when the job ends, fails or waits: `https://…` gets a POST, `mailto:…` a mail."""
    plots: list[PlotSpec] = []


class ImagePin(Message, frozen=True, kw_only=True):
    name: str
    config_digest: str
    """SHA-256 of the image's config JSON, `sha256:` and 64 hex digits: covers every layer, same in every store."""
    platform: str
    source: str = ""
    """Where a registry has it: `registry.example.org/team/tool@sha256:…`, pinned by its manifest's digest."""


class JobOrder(Message, frozen=True, kw_only=True):
    """Everything a worker needs to run chunks of a job; its JSON is what the master signs."""

    version: int
    job: str
    name: str
    image: ImagePin
    program: str
    """SHA-256 of the job folder's tar; empty where there is none."""
    split: Split
    stages: list["StageOrder"]
    """Map, then reduce if there is one; a lease of stage n > 1 (a level of a tree) runs stages[1]."""
    parameters: dict[str, list[Parameter]] = {}
    setup: list[str] = []
    resources: ResourcesSpec
    priority: int = 0
    """JobSpec.priority: which of the jobs on one machine gains first where its CPU is divided by curve."""
    wants: WantsSpec = WantsSpec()
    environment: dict[str, str] = {}


class StageOrder(Message, frozen=True, kw_only=True):
    program: ProgramSpec
    combine: ProgramSpec | None = None
    """Run on the program's output, sorted as by `LC_ALL=C sort`."""
    sort_input: bool = False
    """The input is sorted as by `LC_ALL=C sort` before the program gets it."""
    partitions: int = 1
    """Above 1: the output is divided by key into so many sections; the result is a bundle of them, named 0, 1 …"""


def stage_of(order: JobOrder, stage: int) -> StageOrder:
    """What a lease of `stage` runs."""
    return order.stages[min(stage, 1)]


def outputs_of(program: ProgramSpec) -> list[str]:
    """The patterns of the files that make up the result; none where standard output does."""
    if program.outputs or not any("{output_dir}" in word for word in program.command or ()):
        return program.outputs
    return ["**"]


def makes_bundle(stage: StageOrder) -> bool:
    """Whether a stage's results are bundles (protocol.bundle) rather than plain bytes."""
    return stage.partitions > 1 or bool(outputs_of(stage.program))


ORDER_VERSION = 2

encode_order = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(JobOrder).decode
