"""How calls of Python functions are to be run: what a job file says, as arguments."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

import msgspec

from .notation import duration, size
from .protocol.errors import InvalidJob
from .protocol.job_rules import check_spec
from .protocol.orders import InputSpec, JobSpec, ProgramSpec


class CallOptions(TypedDict, total=False):
    """How calls are run; what is left out is as in a job file."""

    name: str
    image: str
    """`dockercomp/python` where it is left out. Any image with python3."""
    quorum: int
    policy: Literal["none", "quorum", "adaptive"]
    compare: Literal["bytes", "json"]
    """json: numbers in results are equal within `rtol` and `atol`."""
    rtol: float
    atol: float
    cpus: float
    memory: int | str
    """In bytes, or such as "512 MiB"."""
    disk: int | str
    time_limit: float | str
    """Of one chunk, in seconds, or such as "10 min"."""
    retries: int
    reuse: bool
    """Take verified results of the same calls from an earlier job."""
    environment: Mapping[str, str]
    setup: Sequence[str]
    """A command run once in each container."""
    files: Sequence[Path | str]
    """Files and folders that the functions find, by their own names, in the working directory."""


_READERS = {"memory": size, "disk": size, "time_limit": duration}
_VERIFY = ("quorum", "policy", "compare", "rtol", "atol")
_RESOURCES = ("cpus", "memory", "disk", "time_limit")
_OTHER = ("name", "image", "retries", "reuse", "environment", "setup")
_DEFAULTS = {"image": "dockercomp/python"}


def spec_of(options: CallOptions, name: str, function: str) -> JobSpec:
    """The job that runs `function` over files of calls; `name` where the options name none. Raises InvalidJob."""
    given: dict[str, Any] = {"name": re.sub(r"^\W+|[^\w .+-]", "", name)[:100] or "calls", **_DEFAULTS, **options}
    unknown = given.keys() - CallOptions.__annotations__.keys()
    if unknown:
        raise InvalidJob(f"there is no option {min(unknown)!r}; there are {', '.join(CallOptions.__annotations__)}")
    try:
        given |= {key: read(given[key]) for key, read in _READERS.items() if isinstance(given.get(key), str)}
        plain = {
            **{key: given[key] for key in _OTHER if key in given},
            "environment": dict(given.get("environment", {})),
            "setup": list(given.get("setup", ())),
            "input": InputSpec(split="files"),
            "map": ProgramSpec(function=function),
            "verify": {key: given[key] for key in _VERIFY if key in given},
            "resources": {key: given[key] for key in _RESOURCES if key in given},
        }
        spec = msgspec.convert(plain, JobSpec)
    except (ValueError, TypeError) as error:  # of size, duration, and msgspec's ValidationError
        raise InvalidJob(str(error)) from error
    check_spec(spec)
    return spec
