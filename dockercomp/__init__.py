"""dockerComp: volunteer computing with containers.

    from dockercomp import Client

The Python API is loaded when it is asked for: workers, masters and scripts use parts of this package without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Client as Client
    from .executor import Executor as Executor
    from .job import Job as Job
    from .job import JobFailed as JobFailed
    from .outcomes import RemoteError as RemoteError
    from .protocol.errors import DockercompError as DockercompError

__version__ = "0.1.0"

_API = {
    "Client": ".client",
    "DockercompError": ".protocol.errors",
    "Executor": ".executor",
    "Job": ".job",
    "JobFailed": ".job",
    "RemoteError": ".outcomes",
}
__all__ = ["Client", "DockercompError", "Executor", "Job", "JobFailed", "RemoteError"]


if not TYPE_CHECKING:  # for which it would make any name a right one

    def __getattr__(name: str) -> object:
        if name not in _API:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_API[name], __name__), name)
