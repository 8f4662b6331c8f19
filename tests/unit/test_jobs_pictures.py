"""jobs/images/fetch.py and the pipeline of jobs/ferret; what needs NumPy is tested in containers (test_shelf.py)."""

import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

JOBS = Path(__file__).parents[2] / "jobs"


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"job_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_an_unknown_picture_is_said_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, str(JOBS / "images" / "fetch.py"), str(tmp_path), "mon.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "there is no picture mon.png; there are: astronaut.png," in done.stderr


def test_pictures_that_are_there_are_not_fetched_and_damaged_ones_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = module(JOBS / "images" / "fetch.py")
    wanted = {"a.png": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}  # of `a`
    monkeypatch.setattr(fetch, "known", lambda: wanted)
    package: list[bytes] = []

    def install(target: Path) -> None:
        (target / "skimage" / "data").mkdir(parents=True)
        (target / "skimage" / "data" / "a.png").write_bytes(package.pop())

    monkeypatch.setattr(fetch, "_install", install)
    (tmp_path / "a.png").write_bytes(b"damaged")
    package.append(b"a")
    fetch.fetch(tmp_path)
    assert (tmp_path / "a.png").read_bytes() == b"a"
    fetch.fetch(tmp_path)
    (tmp_path / "a.png").unlink()
    package.append(b"another")
    with pytest.raises(fetch.FetchError, match="SHA-256 differs"):
        fetch.fetch(tmp_path)


@pytest.mark.parametrize("width", [1, 4])
def test_a_pipeline_gives_results_in_order_and_runs_its_stages_at_once(width: int) -> None:
    pipeline = module(JOBS / "ferret" / "pipeline.py")
    second_began = threading.Event()

    def first(number: int) -> int:
        if number == 9:  # by then the next stage is long at work
            assert second_began.wait(30)
        return number + 1

    def second(number: int) -> int:
        second_began.set()
        return number * 10

    found = list(pipeline.run(range(50), (first, width), (second, width)))
    assert found == [10 * (number + 1) for number in range(50)]


def test_an_error_in_a_stage_reaches_who_reads_the_results() -> None:
    pipeline = module(JOBS / "ferret" / "pipeline.py")
    results = pipeline.run([1, 0, 2], (lambda number: 6 // number, 1))
    assert next(results) == 6
    with pytest.raises(ZeroDivisionError):
        next(results)
