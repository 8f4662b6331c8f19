"""The store: the only importer of pymongo. One file a collection, queries named as the questions they answer."""

from typing import Self

from pymongo.database import Database

from .allocations import Allocations
from .audit import AuditLog
from .blobs import BlobStore
from .chunks import Chunks
from .clients import Clients
from .closings import Closings
from .connection import Document
from .credentials import Credentials
from .curves import Curves
from .duties import Duties
from .editions import Editions
from .findings import Findings
from .groups import Groups
from .holdings import Holdings
from .images import Images
from .jobs import Jobs
from .loads import Loads
from .payloads import Payloads
from .rates import Rates
from .reviews import Reviews
from .scientists import ScientistKeys
from .streams import Streams
from .usage import Usage
from .users import Users


class Store:
    """Everything that outlives a process of the master."""

    def __init__(self, database: Database[Document], blobs: BlobStore) -> None:
        self.database = database
        self.blobs = blobs
        self.allocations = Allocations(database)
        self.audit = AuditLog(database)
        self.chunks = Chunks(database)
        self.clients = Clients(database)
        self.closings = Closings(database)
        self.credentials = Credentials(database)
        self.curves = Curves(database)
        self.duties = Duties(database)
        self.editions = Editions(database)
        self.findings = Findings(database)
        self.groups = Groups(database)
        self.holdings = Holdings(database)
        self.images = Images(database)
        self.jobs = Jobs(database)
        self.loads = Loads(database)
        self.payloads = Payloads(database)
        self.rates = Rates(database)
        self.reviews = Reviews(database)
        self.scientist_keys = ScientistKeys(database)
        self.usage = Usage(database)
        self.users = Users(database)
        self.streams = Streams(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; for processes that go on without the store."""
        self.database.client.close()
