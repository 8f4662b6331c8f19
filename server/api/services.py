"""What handlers work with, made once a process by the wiring and passed in: nothing global."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast

from dockercomp.protocol.errors import NotFound
from dockercomp.protocol.people import Role, Scope
from server.allocating import Allocating
from server.allowances import Allowances
from server.audit import Actor, Audit
from server.enrolment import Enrolment
from server.explaining import Explaining
from server.grouping import Grouping
from server.inputs import Inputs
from server.jobs import Submission
from server.metrics import Metrics
from server.naming import Names
from server.people import People
from server.plotting import Plotting
from server.possession import Possession
from server.rates import Limits, Pace
from server.receipts import Receipts
from server.results import Results
from server.rights import Rights
from server.scheduling import Scheduling
from server.scientists import Scientists
from server.settings import Secrets, Settings
from server.signing_keys import Keys
from server.store import Store
from server.store.connection import Document
from server.sync import Sync
from server.tokens import Tokens


@dataclass(frozen=True)
class Caller:
    """Who calls: a client's daemon, a person's program or browser, or nobody known."""

    kind: Literal["client", "user", "nobody"]
    id: str = ""
    role: str = ""
    """A user's: `admin`, `scientist` or `viewer`."""
    secret_hash: str = ""
    address: str = ""
    scope: Scope = "admin"
    """A person's: what their token is for; a session is for all that its person may do."""
    own: bool = False
    """Whether the token is for the person's own jobs only."""
    by: str = ""
    """With what a person came: `session`, or their token's id."""
    expires: datetime | None = None
    """When that token ends."""

    @property
    def rights(self) -> Rights:
        """A person's; of nobody else."""
        return Rights(self.id, cast(Role, self.role), self.scope, self.own)

    @property
    def actor(self) -> Actor:
        """Who it is for the audit log."""
        return Actor(self.id or "nobody", self.by or self.kind, self.address)


@dataclass(frozen=True)
class Services:
    settings: Settings
    secrets: Secrets
    store: Store
    inputs: Inputs
    names: Names
    results: Results
    receipts: Receipts
    keys: Keys
    plotting: Plotting
    explaining: Explaining
    sync: Sync
    submission: Submission
    enrolment: Enrolment
    allocating: Allocating
    grouping: Grouping
    people: People
    possession: Possession
    tokens: Tokens
    audit: Audit
    metrics: Metrics
    limits: Limits
    allowances: Allowances
    scheduling: Scheduling
    scientists: Scientists
    pace: Pace = field(default_factory=Pace)
    transfers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(4))
    """Places for transfers: at most half of the process's threads, so that stalled ones never starve the syncs."""

    def job(self, job: str) -> Document:
        """The job's document. Raises NotFound."""
        found = self.store.jobs.by_id(job)
        if found is None:
            raise NotFound(f"there is no job {job}")
        return found
