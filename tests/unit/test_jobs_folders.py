"""Every folder of the shelf: can be submitted, says what it computes, and shows its result."""

import re
from pathlib import Path

import pytest

from dockercomp import jobfolder

CHECKOUT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (CHECKOUT / "jobs").glob("*/job.toml"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_ready_made_job_is_whole(folder: Path) -> None:
    spec = jobfolder.load(folder).spec
    assert spec.name == folder.name
    readme = (folder / "README.md").read_text()
    assert readme.startswith(f"# {folder.name}\n")
    for link in re.findall(r"\]\(([^):]+)\)", readme):
        assert (folder / link).exists(), f"README.md names {link}, which is not there"
    if spec.map.question is None:
        assert "![" in readme
    if spec.image.startswith("dockercomp/"):
        assert (CHECKOUT / "docker" / spec.image.removeprefix("dockercomp/") / "Dockerfile").is_file()


def test_the_shelf_is_listed_where_scientists_look() -> None:
    listed = (CHECKOUT / "docs" / "scientist.md").read_text()
    for folder in FOLDERS:
        assert f"(../jobs/{folder.name}/README.md)" in listed
