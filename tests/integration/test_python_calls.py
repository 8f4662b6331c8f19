"""Functions of Python called on volunteers' machines: a real master, two real workers, real containers."""

import math
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ProcessPoolExecutor, as_completed, wait
from pathlib import Path
from typing import Any

import pytest

from dockercomp import Client, Executor, JobFailed, RemoteError
from dockercomp.calls import Calls
from tests.integration.shelf_parts import CHECKOUT, Shelf
from tests.waiting import wait_until

EXAMPLE = CHECKOUT / "docs" / "examples" / "pool.py"


@pytest.fixture
def client(shelf: Shelf) -> Client:
    shelf.need("dockercomp/python")
    return shelf.client


@pytest.fixture
def environ(client: Client) -> dict[str, str]:
    """For a program that finds its master by the environment."""
    token = client.master._token
    return {**os.environ, "DC_PUBLIC_URL": client.master.url, "DC_API_TOKEN": token, "PYTHONPATH": str(CHECKOUT)}


def test_map_gives_results_in_order_as_the_built_in_does(client: Client) -> None:
    def work(number: int, text: str) -> tuple[Any, ...]:
        return number**50, math.sqrt(number), {text: {number, -number}}, text.encode()

    words = [f"größe {n}" for n in range(40)]
    assert list(client.map(work, range(40), words, chunk_size=3)) == list(map(work, range(40), words))
    assert list(client.map(work, [], [])) == []


def test_an_error_comes_up_where_its_result_would(client: Client) -> None:
    def inverse(number: int) -> float:
        return 1 / number

    results = client.map(inverse, [2, 1, 0, 4])
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        next(results)
    assert isinstance(caught.value, RemoteError) and "in inverse" in caught.value.traceback


def test_futures_resolve_one_by_one_and_are_waited_for_as_any(client: Client) -> None:
    def double(number: int, *, plus: int = 0) -> int:
        if number == 5:
            raise ValueError("not five")
        return 2 * number + plus

    with Executor(client=client) as pool:
        futures = {pool.submit(double, n, plus=1): n for n in range(10)}
        unsent = pool.submit(double, threading.Lock())
        assert wait(futures, return_when=FIRST_EXCEPTION, timeout=120).done
        values = {futures[each]: each.exception() or each.result() for each in as_completed(futures, timeout=120)}
    assert {n: value for n, value in values.items() if n != 5} == {n: 2 * n + 1 for n in range(10) if n != 5}
    assert isinstance(values[5], ValueError) and "ValueError: not five" in str(values[5])
    assert "cannot be sent" in str(unsent.exception())
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(double, 1)


def test_results_come_while_others_still_run(client: Client) -> None:
    """Released only after the first result is here, the second call would never end if results came all at once."""

    def wait_long(seconds: float) -> float:
        import time

        time.sleep(seconds)
        return seconds

    with Executor(client=client) as pool:
        quick, slow = pool.submit(wait_long, 0), pool.submit(wait_long, 120)
        assert quick.result(timeout=50) == 0
        assert not slow.done()
        wait_until(slow.running)
        job = next(client.jobs())
        wait_until(lambda: {each.index for each in client.job(job.id).running()} == {1})
        assert not slow.cancel(), "what runs cannot be cancelled"
        client.job(job.id).cancel()
        with pytest.raises(JobFailed, match="was cancelled"):
            slow.result(timeout=60)


def test_what_waits_can_be_cancelled(client: Client) -> None:
    def forever(number: int) -> None:
        import time

        time.sleep(100)

    pool = Executor(client=client, memory=1 << 40)  # more than anybody has: never handed out
    futures = [pool.submit(forever, n) for n in range(3)]
    wait_until(lambda: any(job.name == "forever" for job in client.jobs()))
    assert futures[0].cancel()
    pool.shutdown(cancel_futures=True)
    assert all(each.cancelled() for each in futures)
    with pytest.raises(CancelledError):
        futures[1].result()
    assert client.job(next(client.jobs()).id).view.state == "cancelled"


def test_what_is_just_being_submitted_can_be_cancelled(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def forever() -> None: ...

    submitted, go_on, submit = threading.Event(), threading.Event(), Calls.submit

    def slowly(*arguments: Any) -> Any:
        job = submit(*arguments)
        submitted.set()
        assert go_on.wait(60)
        return job

    monkeypatch.setattr(Calls, "submit", slowly)
    pool = Executor(client=client, memory=1 << 40)  # more than anybody has: never handed out
    future = pool.submit(forever)
    assert submitted.wait(60)
    pool.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    pool.shutdown()
    assert future.cancelled()


def test_a_chunk_that_dies_fails_its_job_with_the_reason(client: Client) -> None:
    def dies() -> None:
        import os

        os.kill(os.getpid(), 9)

    with Executor(client=client, retries=1) as pool, pytest.raises(JobFailed, match="signal 9"):
        pool.submit(dies).result(timeout=120)


def test_a_module_travels_as_source(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "field_work.py").write_text(
        "import field_units\ndef measure(x):\n    return x * field_units.METRE\n"
        "def failing(x):\n    raise LookupError(x)\n"
    )
    (tmp_path / "field_units.py").write_text("METRE = 100\n")
    monkeypatch.syspath_prepend(tmp_path)
    import field_work  # type: ignore[import-not-found]

    assert list(client.map(field_work.measure, range(5))) == [0, 100, 200, 300, 400]
    with pytest.raises(LookupError, match=r"field_work\.py"):
        next(client.map(field_work.failing, [1]))


def test_an_initializer_prepares_each_container(client: Client) -> None:
    def prepare(name: str) -> None:
        import os

        os.environ["PREPARED"] = name

    def look(_: int) -> str:
        import os

        return os.environ["PREPARED"]

    with Executor(4, initializer=prepare, initargs=("ready",), client=client) as pool:
        assert set(pool.map(look, range(6))) == {"ready"}


def test_a_function_may_use_processes_of_its_own(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_pool.py").write_text(
        "import os\nfrom concurrent.futures import ProcessPoolExecutor\ndef square(n):\n    return n * n, os.getpid()\n"
        "def work(n):\n    with ProcessPoolExecutor(2) as pool:\n        found = list(pool.map(square, range(n)))\n"
        "    return [value for value, _ in found], os.getpid() in {pid for _, pid in found}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import own_pool  # type: ignore[import-not-found]

    assert list(client.map(own_pool.work, [4, 6])) == [([n * n for n in range(count)], False) for count in (4, 6)]


def _collect(numbers: list[int]) -> dict[int, str]:
    return {number: str(number) * 2 for number in numbers}


def _program(pool: Any) -> list[Any]:
    """What a program does with a pool, whichever it is."""
    with pool:
        first = [pool.submit(pow, 3, n) for n in range(20)]
        second = list(pool.map(_collect, [[n, n + 1] for n in range(20)], chunksize=4))
        return [[each.result() for each in first], second, list(pool.map(max, [1, 5], [4, 2]))]


def test_a_program_gives_the_same_on_a_local_pool_and_here(client: Client) -> None:
    assert _program(Executor(client=client, max_workers=2)) == _program(ProcessPoolExecutor(max_workers=2))


def test_the_example_prints_the_same_with_its_one_line_changed(environ: dict[str, str], tmp_path: Path) -> None:
    local = tmp_path / "pool.py"
    before, after = (
        "from concurrent.futures import ProcessPoolExecutor\n",
        "from dockercomp import Executor as ProcessPool",
    )
    text = EXAMPLE.read_text()
    assert f"# before: {before}{after}" in text
    local.write_text(text.replace(f"# before: {before}{after}Executor\n", before))
    printed = [
        subprocess.run([sys.executable, path, "4000"], env=environ, capture_output=True, text=True, check=True).stdout
        for path in (local, EXAMPLE)
    ]
    assert printed[0] == printed[1] and "3999 numbers below 4000" in printed[0]


@pytest.mark.parametrize(
    "work",
    [
        "with Executor(name='interrupted') as pool:\n    list(pool.map(time.sleep, [300] * 4))",
        "with Executor(name='interrupted') as pool:\n    pool.submit(time.sleep, 300).result()",
        "for _ in Client().map(time.sleep, [0, 300, 300], name='interrupted'):\n    pass",
        "for _ in Client().map(time.sleep, [0, 300, 300], name='interrupted'):\n    time.sleep(100)",
    ],
)
def test_an_interrupted_program_stops_its_job(
    client: Client, environ: dict[str, str], tmp_path: Path, work: str
) -> None:
    program = tmp_path / "long.py"
    program.write_text(f"import time\nfrom dockercomp import Client, Executor\n{work}\n")
    before = [view.id for view in client.jobs()]
    process = subprocess.Popen([sys.executable, program], env=environ, stderr=subprocess.PIPE)

    def runs() -> bool:
        return any(view.id not in before and view.stages[0].issued for view in client.jobs())

    wait_until(runs, seconds=60)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    last = next(client.jobs())
    assert (last.name, last.state) == ("interrupted", "cancelled")


def test_leaving_the_results_of_a_map_stops_its_job(client: Client) -> None:
    for _ in client.map(abs, range(10_000), chunk_size=1, cpus=0.5, name="left"):
        break
    wait_until(lambda: next(client.jobs()).state != "running")
    assert (next(client.jobs()).name, next(client.jobs()).state) == ("left", "cancelled")


def test_arrays_of_numpy_travel_both_ways(client: Client, shelf: Shelf) -> None:
    import numpy as np

    def means(table: Any) -> Any:
        return table.mean(axis=0), table.max(), table.dtype

    tables = [np.arange(6.0).reshape(2, 3) * factor for factor in (1, 2)]
    with pytest.raises(RemoteError, match=r"No module named 'numpy'.*use an image"):
        next(client.map(means, tables))
    shelf.need("dockercomp/images")
    results = client.map(lambda table: means(table)[:2], tables, image="dockercomp/images")
    for (columns, largest), table in zip(results, tables, strict=True):
        assert np.array_equal(columns, table.mean(axis=0)) and columns.dtype == table.dtype
        assert type(largest) is np.float64 and largest == table.max()
    with pytest.raises(RemoteError, match=r"numpy\.dtype.*return plain data"):
        next(client.map(means, tables, image="dockercomp/images"))
