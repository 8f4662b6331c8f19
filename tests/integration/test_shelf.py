"""The ready-made jobs, with little data: master, workers and containers make of them what their programs give on one
machine."""

import subprocess
import sys
from pathlib import Path

import pytest

from dockercomp.job import Job
from tests.integration.shelf_parts import JOBS, Shelf, completed, files_in, locally


def python(*arguments: object) -> bytes:
    done = subprocess.run([sys.executable, *map(str, arguments)], check=True, capture_output=True)
    return done.stdout


def submit(shelf: Shelf, name: str, *inputs: Path) -> Job:
    shelf.need(f"dockercomp/{IMAGES.get(name, 'python')}")
    return completed(shelf.client.submit(JOBS / name, *inputs))


IMAGES = {"logs": "jq", "blackscholes": "blackscholes", "images": "images", "ferret": "images", "collisions": "pythia"}


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf") / "pictures"
    python(JOBS / "images" / "fetch.py", folder, "motorcycle_left.png", "motorcycle_right.png", "hubble_deep_field.jpg")
    return folder


def test_wordcount(shelf: Shelf, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("".join(path.read_text() for path in sorted(JOBS.glob("*/README.md"))) * 60)
    job = submit(shelf, "wordcount", text)
    script = 'python3 mapper.py <"$1" | LC_ALL=C sort | python3 reducer.py'
    assert job.result() == locally("dockercomp/python", JOBS / "wordcount", script, text)
    assert {stage.chunks for stage in job.view.stages[1:]} == {2}


def test_hashtags(shelf: Shelf, tmp_path: Path) -> None:
    python(JOBS / "hashtags" / "tweets.py", tmp_path / "tweets", "--days", 3, "--tweets", 300)
    days = sorted((tmp_path / "tweets").iterdir())
    script = """
        for day; do python3 map.py "--input_path=$day" --output_folder=/tmp/out; done
        for kind in lang country; do python3 reduce.py --input_paths /tmp/out/*.$kind --output_path=/result/all; done
    """
    locally("dockercomp/python", JOBS / "hashtags", script, *days, result=tmp_path / "alone")
    job = submit(shelf, "hashtags", tmp_path / "tweets")
    assert files_in(job.save(tmp_path / "found")) == files_in(tmp_path / "alone")


def test_logs(shelf: Shelf, tmp_path: Path) -> None:
    log = tmp_path / "web.jsonl"
    log.write_bytes(python(JOBS / "logs" / "weblogs.py", 20_000))
    table = submit(shelf, "logs", log).result().decode().splitlines()
    assert table[0] == "hour,2xx,3xx,4xx,5xx"
    assert len(table) == 1 + 3 * 24
    assert sum(sum(map(int, line.split(",")[1:])) for line in table[1:]) == 20_000


def test_blackscholes(shelf: Shelf, tmp_path: Path) -> None:
    options = tmp_path / "options"
    options.write_bytes(python(JOBS / "blackscholes" / "options.py", 200_000))
    prices = submit(shelf, "blackscholes", options).result()
    assert prices == locally("dockercomp/blackscholes", JOBS / "blackscholes", 'blackscholes <"$1"', options)


def test_images(shelf: Shelf, pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.iterdir())
    script = 'for picture; do python3 pictures.py "$picture" /result; done'
    locally("dockercomp/images", JOBS / "images", script, *files, result=tmp_path / "alone")
    job = submit(shelf, "images", pictures)
    assert files_in(job.save(tmp_path / "found")) == files_in(tmp_path / "alone")


def test_ferret(shelf: Shelf, pictures: Path) -> None:
    found = submit(shelf, "ferret", pictures).result().decode()
    script = 'python3 ferret.py describe "$@" | python3 ferret.py search'
    assert found.encode() == locally("dockercomp/images", JOBS / "ferret", script, *sorted(pictures.iterdir()))
    assert "motorcycle_left,1,motorcycle_right," in found
    assert "motorcycle_right,1,motorcycle_left," in found


def test_collisions(shelf: Shelf, tmp_path: Path) -> None:
    job = tmp_path / "collisions"
    job.mkdir()
    for path in (JOBS / "collisions").iterdir():
        (job / path.name).write_bytes(path.read_bytes().replace(b"stop = 40 ", b"stop = 4 "))
    shelf.need("dockercomp/pythia")
    table = completed(shelf.client.submit(job)).result().decode().splitlines()
    pairs = {int(mass): int(number) for mass, number in (line.split(",") for line in table[1:])}
    assert max(pairs, key=lambda mass: pairs[mass]) in (90, 91)
    assert 1500 < sum(pairs.values()) <= 2000


def test_labels_waits_for_people(shelf: Shelf, pictures: Path) -> None:
    job = shelf.client.submit(JOBS / "labels", pictures)
    assert job.view.stages[0].chunks == 3
    assert f"/tasks/{job.id}" in job.view.waiting
    assert job.cancel().state == "cancelled"
