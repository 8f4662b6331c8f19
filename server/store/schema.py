"""Every index, with the question it answers. Applied at each start; safe to repeat."""

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import PyMongoError

from .connection import Document, StoreRefused, explain

OPEN = {"state": "open"}

INDEXES: dict[str, list[IndexModel]] = {
    "chunks": [
        # Which open chunks need one more replica, and whose first replica was not mine? `by` leads to others' chunks
        # at once, however many of my own wait for a second client.
        IndexModel(
            [("job", ASCENDING), ("by", ASCENDING)],
            name="needy",
            partialFilterExpression={"need": {"$gt": 0}},
        ),
        # Which leases does this client hold? Lease ids begin with the client's id.
        IndexModel([("leases", ASCENDING)], name="leases", partialFilterExpression=OPEN),
        # Which is the first chunk of this stage that is still open? Ids sort by job, stage and index.
        IndexModel([("job", ASCENDING), ("_id", ASCENDING)], name="open_in_order", partialFilterExpression=OPEN),
        # Which open chunks of this job are kept from a client that failed them? Seldom any.
        IndexModel([("job", ASCENDING)], name="blamed", partialFilterExpression={"blamed": True}),
        # Which chunks of this job failed? Almost always none.
        IndexModel([("job", ASCENDING)], name="failed", partialFilterExpression={"state": "failed"}),
    ],
    "jobs": [
        # Which jobs run, oldest first?
        IndexModel([("state", ASCENDING), ("created", ASCENDING)], name="state"),
        # Of which jobs does somebody want to be told? Few, of most installations none.
        IndexModel([("state", ASCENDING)], name="notify", partialFilterExpression={"spec.notify": {"$exists": True}}),
        # Of which ended jobs may chunks still be open? Of none, but for a moment.
        IndexModel([("swept", ASCENDING)], name="unswept", partialFilterExpression={"swept": False}),
        # The newest jobs, a page at a time.
        IndexModel([("created", DESCENDING), ("_id", DESCENDING)], name="newest"),
        # Did this owner run the same program before?
        IndexModel([("owner", ASCENDING), ("recipe", ASCENDING), ("created", DESCENDING)], name="recipe"),
        # Was this submission made before? Makes submitting safe to repeat, also across masters.
        IndexModel(
            [("owner", ASCENDING), ("idempotency_key", ASCENDING)],
            name="idempotency",
            unique=True,
            partialFilterExpression={"idempotency_key": {"$exists": True}},
        ),
    ],
    "clients": [
        # Did this machine enrol before? The same request gives the same client.
        IndexModel([("request", ASCENDING)], name="request", unique=True),
        # Who has not been heard of lately?
        # Of which completed jobs is the receipt still to be made? Of none, but for a moment.
        IndexModel([("receipt_due", ASCENDING)], name="receipt_due", partialFilterExpression={"receipt_due": True}),
        IndexModel([("state", ASCENDING), ("seen", ASCENDING)], name="seen"),
    ],
    # One-time links and tokens end by themselves.
    "credentials": [IndexModel([("expires", ASCENDING)], name="expires", expireAfterSeconds=0)],
    "streams": [
        # Which chunks of this job run now?
        IndexModel([("job", ASCENDING)], name="job"),
        # What was told a day ago goes by itself.
        IndexModel([("at", ASCENDING)], name="at", expireAfterSeconds=24 * 3600),
    ],
    "images": [IndexModel([("name", ASCENDING), ("created", DESCENDING)], name="name")],
}


OBSOLETE = {"chunks": ["open"]}
"""Indexes of earlier versions, dropped where they are found."""


def apply(database: Database[Document], uri: str) -> None:
    """Create what is missing. Raises StoreRefused with what is wrong at `uri` and what to do."""
    try:
        for collection, indexes in INDEXES.items():
            database[collection].create_indexes(indexes)
        for collection, names in OBSOLETE.items():
            for name in database[collection].index_information().keys() & set(names):
                database[collection].drop_index(name)
    except PyMongoError as error:
        raise StoreRefused(explain(error, uri)) from error
