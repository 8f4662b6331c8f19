"""Removing what an instance has in a Docker Engine: by its label, by its tags, and images that its manifest names."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from .docker_host import ask

LABEL = "dockercomp.instance"

Do = Callable[[str, object, Callable[[], object]], None]


def remove_objects(address: str, label: str, images: list[str], do: Do) -> None:
    """Remove containers, networks, volumes, then images, except those that someone else has tagged too.

    `do(what, is there, act)` decides and reports.
    Raises OSError where the engine cannot be reached.
    """
    labelled = "filters=" + quote(json.dumps({"label": [f"{LABEL}={label}"]}))

    def drop(what: str, path: str) -> None:
        do(what, True, lambda: _gone(address, path))

    for entry in ask(address, "GET", f"/containers/json?all=1&{labelled}"):
        name = entry["Names"][0].lstrip("/") if entry["Names"] else entry["Id"][:12]
        drop(f"remove the container {name}", f"/containers/{entry['Id']}?force=1&v=1")
    for entry in ask(address, "GET", f"/networks?{labelled}"):
        drop(f"remove the network {entry['Name']}", f"/networks/{entry['Id']}")
    for entry in ask(address, "GET", f"/volumes?{labelled}")["Volumes"] or ():
        drop(f"remove the volume {entry['Name']}", f"/volumes/{quote(entry['Name'])}?force=1")
    for entry in ask(address, "GET", "/images/json"):
        for name in _ours(entry, label, images):
            drop(f"remove the image {name.removeprefix('sha256:')}", f"/images/{quote(name)}")


def _ours(entry: dict[str, Any], label: str, recorded: list[str]) -> list[str]:
    """Names to remove of an image: our tags, or the image itself where nobody has tagged it."""
    tags = [tag for tag in entry.get("RepoTags") or () if not tag.startswith("<none>")]
    labelled = (entry.get("Labels") or {}).get(LABEL) == label
    ours = [tag for tag in tags if tag.startswith(f"dockercomp-{label}/") or tag in recorded or labelled]
    return ours if tags else [entry["Id"]] * (labelled or entry["Id"] in recorded)


def _gone(address: str, path: str) -> None:
    try:
        ask(address, "DELETE", path)
    except ValueError as error:
        if ": 404 " not in str(error):
            raise OSError(str(error)) from error
