"""The scientist's command line against a whole master: from submission to a verified result on disk."""

import gzip
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp.protocol.errors import BadRequest
from tests.integration.masters import RunningMaster, running_master
from tests.integration.process_volunteer import volunteers

JOBS = Path(__file__).parents[2] / "jobs"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("cli")) as running:
        image = {"name": "dockercomp/python", "platform": "linux/amd64", "config_digest": "sha256:" + "1" * 64}
        rest = {"_id": "dockercomp/python linux/amd64", "archive": "2" * 64, "size": 1, "created": time.time()}
        with running.store() as store:
            store.images.register({**image, **rest})
        yield running


@pytest.fixture(scope="module")
def lent(master: RunningMaster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two volunteers."""
    with volunteers(master, tmp_path_factory.mktemp("volunteers"), 2):
        yield


@pytest.fixture
def run(master: RunningMaster, tmp_path: Path) -> Run:
    """`dockercomp` as a process of its own, with nothing but the credentials that the master left in DC_HOME."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DC_")}
    environment.update(DC_HOME=str(master.home), HOME=str(tmp_path))

    def run(*argv: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "dockercomp.cli", *map(str, argv)]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120, check=False
        )

    return run


def test_a_quota_is_given_and_shown_with_what_is_used(run: Run) -> None:
    mine = run("quota")
    assert mine.returncode == 0 and "no bound" in mine.stdout, mine.stderr
    given = run("quota", "admin", "--jobs", 7, "--stored", "2GiB", "--json")
    assert json.loads(given.stdout)["quota"] == {"jobs": 7, "stored": 2 << 30}
    kept = json.loads(run("quota", "admin", "--images", 3, "--json").stdout)["own"]
    assert (kept["jobs"], kept["images"]) == (7, 3)
    back = json.loads(run("quota", "admin", "--default", "--json").stdout)
    assert "jobs" not in back["quota"]
    assert "must be a whole number" in run("quota", "admin", "--jobs", "many").stderr
    assert "nobody of the name" in run("quota", "who").stderr


def test_pairs_of_numbers_come_back_as_verified_sums_in_order(lent: None, run: Run, tmp_path: Path) -> None:
    source = random.Random(5)
    pairs = [(source.randint(-(10**12), 10**12), source.randint(-(10**12), 10**12)) for _ in range(120_000)]
    (tmp_path / "pairs.txt").write_text("".join(f"{a} {b}\n" for a, b in pairs))  # chunks and results are streamed
    done = run("submit", JOBS / "pairsum", "pairs.txt", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in (tmp_path / "out" / "result").read_text().splitlines()] == [a + b for a, b in pairs]
    job = json.loads((tmp_path / "out" / "job.json").read_text())
    assert (job["state"], job["quorum"], job["stages"][0]["accepted"]) == ("completed", 2, 4)


def test_flights_equal_the_reference(lent: None, run: Run, tmp_path: Path) -> None:
    source = random.Random(9)
    text = ["year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier\n"]
    for _ in range(30_000):
        delay = source.choice(["NA", *map(str, range(-20, 400))])
        text.append(f"2013,{source.randint(1, 12)},1,517,515,{delay},830,819,11,{source.choice(['UA', 'B6', '9E'])}\n")
    (tmp_path / "flights.csv").write_text("".join(text))
    done = run("submit", JOBS / "flights", "flights.csv", "--watch", "--output", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"][0]["chunks"] >= 2
    reference = subprocess.run(
        [sys.executable, JOBS / "flights" / "reference.py", "flights.csv"],
        capture_output=True,
        cwd=tmp_path,
        check=True,
    )
    assert (tmp_path / "out" / "result").read_bytes() == reference.stdout


def test_files_of_any_name_and_a_reduce(lent: None, run: Run, tmp_path: Path) -> None:
    names = ["a b.txt", "c#d.txt", "日本/ü.txt", "empty"]
    for name in names:
        path = tmp_path / "texts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else f"{name} word\n")
    assert run("init", "mine").returncode == 0
    job = tmp_path / "mine" / "job.toml"
    job.write_text(job.read_text().replace('"lines"', '"files"').replace("chunk_size", "# chunk_size"))
    done = run("submit", "mine", "texts", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "result").read_text().splitlines()[0] == "word\t3"
    assert json.loads((tmp_path / "out" / "job.json").read_text())["stages"][0]["chunks"] == 4


def job_of(folder: Path, split: str, rest: str = '[map]\ncommand = ["cat"]\n') -> Path:
    folder.mkdir()
    head = f'name = "{folder.name}"\nimage = "dockercomp/python"\n'
    (folder / "job.toml").write_text(f"{head}[input]\n{split}\n{rest}")
    return folder


def test_archives_folders_and_many_small_files_arrive_whole_and_in_order(lent: None, run: Run, tmp_path: Path) -> None:
    """More inputs than a request holds: packed into few uploads, named by a list of their own."""
    expected = []
    (tmp_path / "in" / "many").mkdir(parents=True)
    for number in range(1200):
        path = tmp_path / "in" / "many" / f"file #{number:04d}"
        path.write_text(f"line {number}\n" * (number % 3))
        expected.append(path.read_bytes())
    with zipfile.ZipFile(tmp_path / "in" / "days.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ü/one", "from an archive\n")
        archive.writestr("large", "0123456\n" * 300_000)
    (tmp_path / "in" / "z.gz").write_bytes(gzip.compress(b"compressed\n"))
    job = job_of(tmp_path / "copies", 'split = "files"\nfiles_per_chunk = 100\nunpack = true')
    foretold = run("submit", job, "in", "--dry-run", "--json")
    assert foretold.returncode == 0, foretold.stderr
    done = run("submit", job, "in", "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "\nsending 1,203 files, " in done.stderr
    whole = b"0123456\n" * 300_000 + b"from an archive\n" + b"".join(expected) + b"compressed\n"
    assert (tmp_path / "out" / "result").read_bytes() == whole
    chunks = json.loads((tmp_path / "out" / "job.json").read_text())["stages"][0]["chunks"]
    assert json.loads(foretold.stdout)["stages"][0]["chunks"] == chunks == 13
    again = run("submit", job, "in", "--watch")
    assert "sending" not in again.stderr
    assert f"{chunks} of them computed earlier" in again.stdout


def test_several_files_a_chunk_come_back_as_a_folder_and_go_on_into_another_job(
    lent: None, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "words").mkdir()
    for name in ("a b", "ü#"):
        (tmp_path / "words" / name).write_text(f"{name}\n")
    program = 'n=$(cat); mkdir out; echo "$n" > "out/$n.txt"; echo same > out/same.log'
    rest = f"[map]\ncommand = ['sh', '-c', '{program}']\noutputs = ['out/*.txt', '**/*.log']\n"
    job = job_of(tmp_path / "twofold", 'split = "files"', rest)
    done = run("submit", job, "words", "--output", "out", "--json")
    assert done.returncode == 0, done.stderr
    result = tmp_path / "out" / "result"
    found = {path.relative_to(result).as_posix(): path.read_text() for path in result.rglob("*") if path.is_file()}
    assert found == {
        "out/a b.txt": "a b\n",
        "out/ü#.txt": "ü#\n",
        "000000000/out/same.log": "same\n",
        "000000001/out/same.log": "same\n",
    }
    first = json.loads(done.stdout)["id"]
    assert run("results", first, "--file", "out/ü#.txt").stdout == "ü#\n"
    assert "take all with --output DIR" in run("results", first).stderr
    done = run("submit", job_of(tmp_path / "next", 'split = "lines"'), f"job:{first}", "--output", "second")
    assert done.returncode == 0, done.stderr
    assert sorted((tmp_path / "second" / "result").read_text().split("\n")) == ["", "a b", "same", "same", "ü#"]


def test_a_dry_run_leaves_nothing_on_the_master(run: Run, master: RunningMaster, tmp_path: Path) -> None:
    (tmp_path / "only here").write_text("never sent\n")
    jobs = run("ls", "--json").stdout
    done = run("submit", job_of(tmp_path / "dry", 'split = "lines"'), "only here", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "1 chunks" in done.stdout
    assert run("ls", "--json").stdout == jobs
    digest = hashlib.sha256(b"never sent\n").hexdigest()
    connection = master.admin()
    assert connection.missing([digest, digest]) == [digest, digest]
    with pytest.raises(BadRequest, match="at most 10,000"):
        connection.missing([digest] * 10_001)
    connection.close()


def test_a_program_that_fails_is_exit_code_1_and_its_log_comes_back(lent: None, run: Run, tmp_path: Path) -> None:
    (tmp_path / "pairs.txt").write_text("1 2\nthree 4\n")
    done = run("submit", JOBS / "pairsum", "pairs.txt", "--watch", "--json")
    assert done.returncode == 1
    job = json.loads(done.stdout)
    assert (job["state"], bool(job["error"])) == ("failed", True)
    logs = run("logs", job["id"])
    assert "exit code 1" in logs.stdout
    assert "    not a pair of whole numbers: 'three 4'" in logs.stdout
    assert run("results", job["id"]).returncode == 2


def test_a_job_is_cancelled_and_listed(run: Run, master: RunningMaster) -> None:
    done = run("submit", JOBS / "pi", "--json")
    job = json.loads(done.stdout)["id"]
    assert run("cancel", job).stdout == f"job {job} is cancelled\n"
    assert f"{job}  pi" in run("ls").stdout
    assert run("watch", job).returncode == 1


def test_an_admin_makes_tokens_and_links(run: Run, master: RunningMaster) -> None:
    assert f"{master.url}/installer.sh" in run("token", "create", "--owner", "lab").stdout
    assert run("login-link").stdout.startswith(f"{master.url}/")
    assert run("clients").returncode == 0


def test_an_image_that_the_master_does_not_have(run: Run, tmp_path: Path) -> None:
    run("init", "mine")
    job = tmp_path / "mine" / "job.toml"
    job.write_text(job.read_text().replace("dockercomp/python", "no/such"))
    done = run("submit", "mine", "mine/example.txt")
    assert done.returncode == 2
    assert "dockercomp image push no/such" in done.stderr


def test_a_wrong_token(run: Run, master: RunningMaster) -> None:
    done = run("ls", "--token", "wrong")
    assert (done.returncode, done.stdout) == (4, "")
    assert "Traceback" not in done.stderr
