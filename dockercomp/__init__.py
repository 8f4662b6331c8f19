"""dockerComp: volunteer computing with containers.

    from dockercomp import Client

The Python API is loaded when it is asked for: workers, masters and scripts use parts of this package without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client as Client
    from .job import Job as Job
    from .job import JobFailed as JobFailed
    from .protocol.errors import DockercompError as DockercompError

__version__ = "0.1.0"

_API = {"Client": ".client", "Job": ".job", "JobFailed": ".job", "DockercompError": ".protocol.errors"}
__all__ = ["Client", "DockercompError", "Job", "JobFailed"]


def __getattr__(name: str) -> object:
    if name not in _API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_API[name], __name__), name)
