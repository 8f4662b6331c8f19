"""What the database gives back, as our own messages take it."""

import msgspec

from server.settings import Settings
from server.store.connection import connect


def test_large_numbers_come_back_as_plain_ones(settings: Settings) -> None:
    """The driver's own type for numbers of 64 bits is refused by messages: a result beyond 2 GiB could not be shown."""
    sizes = connect(settings.mongo_uri, settings.database)["sizes"]
    sizes.insert_one({"_id": 1, "size": 5 * 2**30, "each": [{"size": 2**40}]})
    summed = next(iter(sizes.aggregate([{"$group": {"_id": None, "size": {"$sum": "$size"}}}])))
    found = sizes.find_one({"_id": 1})
    sizes.database.client.close()
    assert found is not None
    assert type(summed["size"]) is int
    assert msgspec.json.decode(msgspec.json.encode(found)) == {"_id": 1, "size": 5 * 2**30, "each": [{"size": 2**40}]}
