"""What handlers work with, made once a process by the wiring and passed in: nothing global."""

import threading
from dataclasses import dataclass, field
from typing import Literal

from dockercomp.protocol.errors import NotFound
from server.enrolment import Enrolment
from server.explaining import Explaining
from server.inputs import Inputs
from server.jobs import Submission
from server.metrics import Metrics
from server.naming import Names
from server.plotting import Plotting
from server.results import Results
from server.scheduling import Scheduling
from server.settings import Secrets, Settings
from server.store import Store
from server.store.connection import Document
from server.sync import Sync


@dataclass(frozen=True)
class Caller:
    """Who calls: a client's daemon, a person's program or browser, or nobody known."""

    kind: Literal["client", "user", "nobody"]
    id: str = ""
    role: str = ""
    """A user's: `admin`, `scientist` or `viewer`."""
    secret_hash: str = ""
    address: str = ""


@dataclass(frozen=True)
class Services:
    settings: Settings
    secrets: Secrets
    store: Store
    inputs: Inputs
    names: Names
    results: Results
    plotting: Plotting
    explaining: Explaining
    sync: Sync
    submission: Submission
    enrolment: Enrolment
    metrics: Metrics
    scheduling: Scheduling
    transfers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(4))
    """Places for transfers: at most half of the process's threads, so that stalled ones never starve the syncs."""

    def job(self, job: str) -> Document:
        """The job's document. Raises NotFound."""
        found = self.store.jobs.by_id(job)
        if found is None:
            raise NotFound(f"there is no job {job}")
        return found
