"""What every process of the master opens at its start: the log and the store."""

import logging
import sys

import structlog

from dockercomp.protocol.errors import Unavailable
from server.settings import Settings
from server.store import Store
from server.store.blobs import DirectoryBlobs
from server.store.connection import connect


def configure_logging() -> None:
    """One JSON line an event on stdout, with the request's and the job's ids where they are known."""
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        cache_logger_on_first_use=True,
    )


def mongo_uri(settings: Settings) -> str:
    """The address of MongoDB: configured, or that of the embedded one. Raises Unavailable before it is set up."""
    if settings.mongo_uri:
        return settings.mongo_uri
    path = settings.home / "secrets" / "mongo.uri"
    if not path.exists():
        raise Unavailable("no MongoDB is set up: run server/start, or set DC_MONGO_URI")
    return path.read_text(encoding="utf-8").strip()


def open_store(settings: Settings) -> Store:
    """The store, not yet contacted."""
    return Store(connect(mongo_uri(settings), settings.database), DirectoryBlobs(settings.home / "blobs"))
