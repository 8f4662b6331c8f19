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
        IndexModel([("leases", ASCENDING)], name="leased", partialFilterExpression={"leases": {"$gt": ""}}),
        # Which results of this job rest on the word of one client alone, and of which? All is answered by the index.
        IndexModel(
            [("job", ASCENDING), ("sole", ASCENDING), ("_id", ASCENDING)],
            name="sole",
            partialFilterExpression={"sole": {"$gt": ""}},
        ),
        # Of which chunks of this adaptive job is the answer known? Few: those that were checked.
        IndexModel([("job", ASCENDING), ("_id", ASCENDING)], name="known", partialFilterExpression={"known": True}),
        # Whose result of which chunk was wrong, and nothing has followed from it yet? Almost always nobody's.
        IndexModel(
            [("job", ASCENDING), ("wrong_clients", ASCENDING)],
            name="wrong",
            partialFilterExpression={"wrong_clients": {"$gt": ""}},
        ),
        # Which results that later stages read differ now? Almost always none.
        IndexModel([("job", ASCENDING)], name="changed", partialFilterExpression={"changed": True}),
        # Which is the first chunk of this stage that is still open? Ids sort by job, stage and index.
        IndexModel([("job", ASCENDING), ("_id", ASCENDING)], name="open_in_order", partialFilterExpression=OPEN),
        # Which open chunks of this job are kept from a client that failed them? Seldom any.
        IndexModel([("job", ASCENDING)], name="blamed", partialFilterExpression={"blamed": True}),
        # Which open chunks of this job have results that differ? Seldom any.
        IndexModel([("job", ASCENDING)], name="differs", partialFilterExpression={"differs": True}),
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
        # Of which completed jobs is the receipt still to be made? Of none, but for a moment.
        IndexModel([("receipt_due", ASCENDING)], name="receipt_due", partialFilterExpression={"receipt_due": True}),
        # The newest jobs, a page at a time.
        IndexModel([("created", DESCENDING), ("_id", DESCENDING)], name="newest"),
        # The newest jobs of one person, a page at a time.
        IndexModel([("owner", ASCENDING), ("created", DESCENDING), ("_id", DESCENDING)], name="newest_of_owner"),
        # Did this owner run the same program before?
        IndexModel([("owner", ASCENDING), ("recipe", ASCENDING), ("created", DESCENDING)], name="recipe"),
        # Which jobs took over results of this one, or read them?
        IndexModel([("built_on", ASCENDING)], name="built_on", partialFilterExpression={"built_on": {"$exists": True}}),
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
        # Who came by this enrolment token?
        IndexModel([("token", ASCENDING)], name="token", partialFilterExpression={"token": {"$exists": True}}),
        # Who belongs to this group?
        IndexModel([("group", ASCENDING), ("_id", ASCENDING)], name="group"),
        # Who has not been heard of lately?
        IndexModel([("state", ASCENDING), ("seen", ASCENDING)], name="seen"),
    ],
    "allocations": [
        # What was this client given, the newest first?
        IndexModel([("client", ASCENDING), ("version", DESCENDING)], name="client"),
    ],
    "credentials": [
        # One-time links and tokens end by themselves.
        IndexModel([("expires", ASCENDING)], name="expires", expireAfterSeconds=0),
        # Which tokens are this person's?
        IndexModel([("user", ASCENDING)], name="user", partialFilterExpression={"user": {"$exists": True}}),
        # Which one is listed under this id?
        IndexModel([("id", ASCENDING)], name="id"),
    ],
    "audit": [
        # What was done last? And by whom, to what, of which kind?
        IndexModel([("at", DESCENDING), ("_id", DESCENDING)], name="newest"),
        *(IndexModel([(by, ASCENDING), ("at", DESCENDING)], name=by) for by in ("person", "subject", "kind")),
        # Entries go when they are two years old.
        IndexModel([("at", ASCENDING)], name="age", expireAfterSeconds=2 * 366 * 24 * 3600),
    ],
    # What has this person uploaded? By whom was this uploaded?
    "holdings": [
        IndexModel([("person", ASCENDING)], name="person"),
        IndexModel([("digest", ASCENDING)], name="digest"),
    ],
    # Counts of a window that is over go by themselves.
    "rates": [IndexModel([("gone", ASCENDING)], name="gone", expireAfterSeconds=0)],
    # Which keys has this person registered?
    "scientist_keys": [IndexModel([("owner", ASCENDING), ("created", ASCENDING)], name="owner")],
    "streams": [
        # Which chunks of this job run now?
        IndexModel([("job", ASCENDING)], name="job"),
        # What was told a day ago goes by itself.
        IndexModel([("at", ASCENDING)], name="at", expireAfterSeconds=24 * 3600),
    ],
    "findings": [
        # From which findings is something still to follow, of all jobs and of this one? Almost always from none.
        IndexModel([("state", ASCENDING), ("at", ASCENDING)], name="state"),
        IndexModel([("job", ASCENDING), ("state", ASCENDING)], name="job"),
        # What was found of this client?
        IndexModel([("client", ASCENDING), ("at", DESCENDING)], name="client"),
    ],
    "closings": [
        # Whose results of this stage were closed by a check?
        IndexModel([("job", ASCENDING), ("stage", ASCENDING)], name="stage"),
        # Which checks are awaited? Few.
        IndexModel([("at", ASCENDING)], name="asked", partialFilterExpression={"state": "asked"}),
    ],
    "curves": [
        # What is known of how this job speeds up?
        IndexModel([("job", ASCENDING)], name="job"),
        # Of which curves has more become known? Few.
        IndexModel([("changed", ASCENDING)], name="changed", partialFilterExpression={"changed": True}),
    ],
    # Samples go when they are a week old.
    "loads": [IndexModel([("until", ASCENDING)], name="until", expireAfterSeconds=0)],
    "images": [IndexModel([("name", ASCENDING), ("created", DESCENDING)], name="name")],
}


OBSOLETE = {"chunks": ["open", "leases"]}
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
