"""The collection `images`: archives the master can stream to workers, each pinned by its config's digest."""

from pymongo.database import Database

from dockercomp.protocol.orders import ImagePin

from .connection import Document, store_errors


def pin_of(image: Document) -> ImagePin:
    """What jobs that name this image are pinned to."""
    return ImagePin(
        name=image["name"],
        config_digest=image["config_digest"],
        platform=image["platform"],
        source=image.get("source", ""),
    )


class Images:
    """Every method is one round trip."""

    def __init__(self, database: Database[Document]) -> None:
        self._images = database["images"]

    def register(self, image: Document) -> None:
        """Store (or replace) the image `name` of one platform; `_id` is name and platform."""
        with store_errors():
            self._images.replace_one({"_id": image["_id"]}, image, upsert=True)

    def named(self, name: str) -> Document | None:
        """The newest image of this name; an image without a tag is `latest`."""
        with store_errors():
            return self._images.find_one({"name": name}, sort=[("created", -1)])

    def others_of(self, owner: str, image: str) -> int:
        """How many this owner has besides the one of the id `image`."""
        with store_errors():
            return self._images.count_documents({"owner": owner, "_id": {"$ne": image}})

    def pinned(self, config_digest: str) -> Document | None:
        with store_errors():
            return self._images.find_one({"config_digest": config_digest})

    def all(self) -> list[Document]:
        """By name; of one name the newest first, which is the one that `named` gives."""
        with store_errors():
            return list(self._images.find().sort([("name", 1), ("created", -1)]))
