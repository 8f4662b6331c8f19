"""The connection to MongoDB: majority and journaled writes, majority reads, and errors in our own words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bson import Int64
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    ConnectionFailure,
    InvalidURI,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from dockercomp.protocol.errors import Unavailable

Document = dict[str, Any]

_AUTHENTICATION_FAILED = 18
_UNAUTHORIZED = 13


QUICK = WriteConcern(w=1, j=False)
"""For writes that nothing acknowledged rests on: heartbeats, counters, and what hands out work. A crash may take the
last of them, always with all that was written later; then a lease is unknown, or a range is handed out again, and the
chunk is done once more. Results and their payloads are written with the database's default: majority, journaled."""


class StoreRefused(RuntimeError):
    """The configured MongoDB cannot be used; the message says what is wrong and what to do."""


DATABASE_TIME = {"$divide": [{"$toLong": "$$NOW"}, 1000]}
"""The database's clock inside a pipeline update: seconds since 1970. The only clock that leases are judged by."""


class _PlainNumbers(TypeDecoder):
    """Numbers of 64 bits as Python's own: the driver's type for them is a subclass of int, which messages refuse."""

    bson_type = Int64

    def transform_bson(self, value: Any) -> int:
        return int(value)


_CODEC: CodecOptions[Document] = CodecOptions(type_registry=TypeRegistry([_PlainNumbers()]))


def connect(uri: str, database: str, *, timeout_s: float = 10.0) -> Database[Document]:
    """The database, not yet contacted. One MongoClient a process: create it after forking."""
    client: MongoClient[Document] = MongoClient(
        uri,
        serverSelectionTimeoutMS=int(timeout_s * 1000),
        connectTimeoutMS=int(timeout_s * 1000),
        appname="dockercomp",
        retryWrites=True,
        retryReads=True,
    )
    return client.get_database(
        database,
        codec_options=_CODEC,
        write_concern=WriteConcern(w="majority", j=True),
        read_concern=ReadConcern("local"),
    )


@contextmanager
def store_errors() -> Iterator[None]:
    """Turns the driver's connection errors into Unavailable: nothing acknowledged was lost, the caller may repeat."""
    try:
        yield
    except (AutoReconnect, ConnectionFailure, NotPrimaryError, ServerSelectionTimeoutError, WriteConcernError) as error:
        raise Unavailable(f"MongoDB cannot be reached: {error}") from error


def explain(error: Exception, uri: str) -> str:
    """What is wrong with a MongoDB that could not be used, and what to do; the password is left out."""
    where = uri.rsplit("@", 1)[-1]
    if isinstance(error, (InvalidURI, ConfigurationError)):
        return f"DC_MONGO_URI is not a MongoDB address: {error}"
    if isinstance(error, OperationFailure) and error.code == _AUTHENTICATION_FAILED:
        return f"MongoDB at {where} refuses the user or the password; check U_USER and U_PASS (or DC_MONGO_URI)"
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return f"the user may not use this database of MongoDB at {where}: it needs the role readWrite on it"
    if isinstance(error, ServerSelectionTimeoutError):
        return f"MongoDB at {where} does not answer; check DC_MONGO_HOST (or DC_MONGO_URI) and that it runs"
    return f"MongoDB at {where} failed: {error}"
