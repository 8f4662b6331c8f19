"""Removing what an instance has in a Docker Engine: by its label, and images by the ids that it wrote down."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from .docker_host import ask

LABEL = "dockercomp.instance"

Do = Callable[[str, object, Callable[[], object]], None]


def remove_objects(address: str, label: str, images: list[str], do: Do) -> None:
    """Remove containers, volumes, networks, then images. `do(what, is there, act)` decides and reports.

    Raises OSError where the engine cannot be reached.
    """
    labelled = "filters=" + quote(json.dumps({"label": [f"{LABEL}={label}"]}))

    def drop(what: str, path: str) -> None:
        do(what, True, lambda: _gone(address, path))

    for entry in ask(address, "GET", f"/containers/json?all=1&{labelled}"):
        name = entry["Names"][0].lstrip("/") if entry["Names"] else entry["Id"][:12]
        drop(f"remove the container {name}", f"/containers/{entry['Id']}?force=1&v=1")
    for entry in ask(address, "GET", f"/volumes?{labelled}")["Volumes"] or ():
        drop(f"remove the volume {entry['Name']}", f"/volumes/{quote(entry['Name'])}?force=1")
    here = {entry["Id"]: entry for entry in ask(address, "GET", "/images/json")}
    ours = {entry["Id"] for entry in ask(address, "GET", f"/images/json?{labelled}")} | (here.keys() & set(images))
    for image in sorted(ours):
        drop(f"remove the image {_title(here.get(image, {}), image)}", f"/images/{image}?force=1")


def _title(entry: dict[str, Any], image: str) -> str:
    tags = [tag for tag in entry.get("RepoTags") or () if not tag.startswith("<none>")]
    return tags[0] if tags else image.removeprefix("sha256:")[:12]


def _gone(address: str, path: str) -> None:
    try:
        ask(address, "DELETE", path)
    except ValueError as error:
        if ": 404 " not in str(error):
            raise OSError(str(error)) from error
