"""jobs/hashtags: its command lines, and counts that agree with the tweets that were generated."""

import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

JOB = Path(__file__).parents[2] / "jobs" / "hashtags"


def run(program: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(JOB / program), *map(str, arguments)], check=True)


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    run("tweets.py", tmp_path / "tweets", "--days", 3, "--tweets", 400, "--seed", 5)
    return sorted((tmp_path / "tweets").iterdir())


def tweets(day: Path) -> list[dict[str, object]]:
    with zipfile.ZipFile(day) as archive:
        return [json.loads(line) for name in archive.namelist() for line in archive.read(name).splitlines()]


def test_the_same_seed_gives_the_same_archives(days: list[Path], tmp_path: Path) -> None:
    run("tweets.py", tmp_path / "again", "--days", 3, "--tweets", 400, "--seed", 5)
    run("tweets.py", tmp_path / "other", "--days", 3, "--tweets", 400, "--seed", 6)
    assert [day.read_bytes() for day in days] == [day.read_bytes() for day in sorted((tmp_path / "again").iterdir())]
    assert days[0].read_bytes() != sorted((tmp_path / "other").iterdir())[0].read_bytes()


def test_names_and_hashtags_are_of_every_script(days: list[Path]) -> None:
    assert [day.name for day in days] == [f"2020-03-0{n} #geo Tweets 日.zip" for n in (1, 2, 3)]
    text = "".join(str(tweet["text"]) for tweet in tweets(days[2]))
    assert all(tag in text for tag in ("#코로나바이러스", "#कोरोनावायरस", "#كورونا", "#QuédateEnCasa"))


def test_counts_of_all_days_are_those_of_the_tweets(days: list[Path], tmp_path: Path) -> None:
    for day in days:
        run("map.py", f"--input_path={day}", f"--output_folder={tmp_path / 'out'}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{day.name}.{k}" for day in days for k in ("lang", "country")
    }
    for kind in ("lang", "country"):
        run(
            "reduce.py",
            "--input_paths",
            *sorted((tmp_path / "out").glob(f"*.{kind}")),
            f"--output_path={tmp_path / 'all'}",
        )
    everything = [tweet for day in days for tweet in tweets(day)]
    found = json.loads((tmp_path / "all.lang").read_text())
    assert found["_all"] == Counter(tweet["lang"] for tweet in everything)
    korean = Counter(tweet["lang"] for tweet in everything if "#코로나바이러스" in str(tweet["text"]))
    assert found["#코로나바이러스"] == korean
    assert found["#covid19"].keys() >= {"en", "es"}, "a hashtag counts whatever its case"
    placed = json.loads((tmp_path / "all.country").read_text())["_all"]
    assert sum(placed.values()) == sum(1 for tweet in everything if tweet["place"])
    table = (tmp_path / "all.lang.days.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in table] == ["day", "2020-03-01", "2020-03-02", "2020-03-03"]
    assert (tmp_path / "all.country.csv").read_text().startswith("country,#")
