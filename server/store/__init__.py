"""The store: the only importer of pymongo. One file a collection, queries named as the questions they answer."""

from typing import Self

from pymongo.database import Database

from .blobs import BlobStore
from .chunks import Chunks
from .clients import Clients
from .connection import Document
from .credentials import Credentials
from .duties import Duties
from .images import Images
from .jobs import Jobs
from .payloads import Payloads
from .streams import Streams
from .usage import Usage


class Store:
    """Everything that outlives a process of the master."""

    def __init__(self, database: Database[Document], blobs: BlobStore) -> None:
        self.database = database
        self.blobs = blobs
        self.chunks = Chunks(database)
        self.clients = Clients(database)
        self.credentials = Credentials(database)
        self.duties = Duties(database)
        self.images = Images(database)
        self.jobs = Jobs(database)
        self.payloads = Payloads(database)
        self.usage = Usage(database)
        self.streams = Streams(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; for processes that go on without the store."""
        self.database.client.close()
