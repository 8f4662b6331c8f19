"""The demo, which is the main job: master, two local workers, a real job over real data, verified and checked."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import click
import psutil
from rich.console import Console

from dockercomp import images, progress
from dockercomp.client import Client
from dockercomp.credentials import find
from dockercomp.machine import supervisor
from dockercomp.machine.programs import Program
from dockercomp.machine.removal import Removal
from dockercomp.protocol.views import JobView, TokenRequest
from server import instance, packages
from server.settings import Settings

WORKERS = 2
CONTAINERS_EACH = 2
MEMORY_EACH = "1GiB"
_JOB = Path(__file__).resolve().parents[1] / "jobs" / "flights"
_WORKERS_READY_S = 60.0
_DATA = ("mongo", "blobs", "secrets", "demo", "credentials.json", "scientist.key", "run", "log")
"""What --once removes of DC_HOME; environment, mongod and base image are the cache."""


class DemoError(RuntimeError):
    """The demo failed; the message says which part and why."""


class Stopwatch:
    """Times the parts of the demo."""

    def __init__(self, setup_s: float) -> None:
        self._parts: list[tuple[str, float]] = [("set-up", setup_s)] if setup_s else []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self._parts.append((name, time.monotonic() - begun))

    def __str__(self) -> str:
        whole = sum(seconds for _, seconds in self._parts)
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self._parts) + f"; in all {whole:.0f} s"


def run(settings: Settings, *, once: bool) -> None:
    """Run the demo; with `once` leave nothing but the cache. Raises DemoError, and what starting an instance raises."""
    if once:
        _claim_for_once(settings)
    clock = Stopwatch(float(os.environ.get("DC_SETUP_SECONDS", "0")))
    try:
        _demonstrate(settings, clock)
        if not once:
            _say_what_runs(settings)
    except BaseException:
        if once:
            tear_down(settings)
        raise
    if once:
        with clock.part("clean-up"):
            tear_down(settings)
        click.echo("stopped; removed its containers, processes and data; the cache stays for the next time")
    click.echo(f"time: {clock}")


def stop_workers(home: Path) -> bool:
    """Stop the demo's workers; True where they ran."""
    running = supervisor.status(home, "demo") is not None
    supervisor.stop(home, "demo", timeout=60)
    return running


def tear_down(settings: Settings) -> None:
    """Stop everything and remove all data of this DC_HOME but the cache."""
    stop_workers(settings.home)
    Removal(settings.home, lambda _: None).nested()
    instance.stop(settings)
    supervisor.stop(settings.home, "engine", timeout=60)
    for name in _DATA:
        path = settings.home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _claim_for_once(settings: Settings) -> None:
    """--once removes the data at its end: refused where there is a master's data that is not such a demo's own."""
    claim = settings.home / "demo" / "once"
    if supervisor.status(settings.home, "server") is not None:
        raise DemoError(
            f"a master runs with DC_HOME={settings.home}, and --once would remove its data: stop it"
            " (server/start --stop) or give the demo a DC_HOME of its own"
        )
    if (settings.home / "mongo").exists() and not claim.exists():
        raise DemoError(
            f"DC_HOME={settings.home} holds the data of a master, which --once would remove: leave out --once, or give"
            " the demo a DC_HOME of its own"
        )
    if claim.exists():
        for name in ("mongo", "blobs", "secrets", "demo", "credentials.json", "scientist.key"):  # of an interrupted one
            path = settings.home / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    claim.parent.mkdir(parents=True, exist_ok=True)
    claim.touch()


def _demonstrate(settings: Settings, clock: Stopwatch) -> None:
    with clock.part("worker's package"):
        packages.build(settings.home)
    if supervisor.status(settings.home, "server") is None:
        with clock.part("MongoDB and master"):
            instance.start(settings, click.echo)
    found = find(environ={**os.environ, "DC_HOME": str(settings.home)})
    with Client(settings.url, found.token) as client:
        with clock.part("image and data"):
            _push_image(settings, client)
            data = _flights(settings)
        with clock.part("workers"):
            _start_workers(settings, client)
        with clock.part("job"):
            job = _submit_and_follow(client, data)
        with clock.part("check"):
            _show_and_check(settings, client, job, data)


def _push_image(settings: Settings, client: Client) -> None:
    archive = images.describe(settings.home / "cache" / "python-image.tar")
    if archive.digest not in {image.archive for image in client.images()}:
        client.push_image("dockercomp/python", archive)


def _flights(settings: Settings) -> Path:
    """The data: flights.csv in the cache."""
    fetch = [sys.executable, str(_JOB / "fetch.py"), str(settings.home / "cache" / "flights")]
    done = subprocess.run(fetch, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"the data could not be had: {done.stderr.strip()}")
    return Path(done.stdout.strip())


def _start_workers(settings: Settings, client: Client) -> None:
    if supervisor.status(settings.home, "demo") is None:
        token = client.enrolment_token(TokenRequest(owner="demo", uses=WORKERS * 10)).token
        supervisor.start(settings.home, "demo", [_worker(settings, number, token) for number in range(1, WORKERS + 1)])
    deadline = time.monotonic() + _WORKERS_READY_S
    while sum(1 for found in client.clients() if found.state == "alive") < WORKERS:
        if time.monotonic() > deadline:
            raise DemoError(f"the workers did not register within {_WORKERS_READY_S:.0f} s:\n{_worker_logs(settings)}")
        time.sleep(0.1)
    click.echo(f"{WORKERS} workers with {CONTAINERS_EACH} containers each are registered")


def _worker(settings: Settings, number: int, token: str) -> Program:
    home = settings.home / "demo" / f"worker-{number}"
    home.mkdir(parents=True, exist_ok=True)
    cpus = max(1.0, (psutil.cpu_count() or 1) / WORKERS)
    env = {
        "DC_HOME": str(home),
        "DC_HOST": settings.host,
        "DC_SCHEME": settings.scheme,
        "DC_TLS_PIN": instance.as_started(settings).tls_pin,
        "DC_PORT": str(settings.port),
        "DC_TOKEN": token,
        "DC_NAME": f"demo-worker-{number}",
        "DC_CONTAINERS": str(CONTAINERS_EACH),
        "DC_CPUS": f"{cpus:g}",
        "DC_MEMORY": MEMORY_EACH,
        "DC_DOCKER_HOST": os.environ.get("DC_DOCKER_HOST", ""),
    }
    program = (sys.executable, "-m", "worker.cli", "run")
    log = str(settings.home / "log" / f"demo-worker-{number}.log")
    return Program(name=f"worker-{number}", argv=program, log=log, env=env, cwd=str(_JOB.parents[1]))


def _submit_and_follow(client: Client, data: Path) -> JobView:
    console = Console()
    job = client.submit(_JOB, data)
    now = job.view
    click.echo(f"job {job.id}: {now.name}, {now.stages[0].chunks} chunks, each computed by {now.quorum} workers")
    shown = progress.display(console)
    try:
        for now in job.follow(tell=shown.note):
            shown.show(now)
    finally:
        shown.close()
    if now.state != "completed":
        raise DemoError(f"the job is {now.state}: {now.error}")
    return now


def _show_and_check(settings: Settings, client: Client, job: JobView, data: Path) -> None:
    result = client.job(job.id).save(settings.home / "demo" / "result")
    with result.open(encoding="utf-8") as lines:
        for line in islice(lines, 6):
            click.echo(f"  {line.rstrip()}")
    checked = subprocess.run(
        [sys.executable, str(_JOB / "reference.py"), str(data)], capture_output=True, check=False, timeout=600
    )
    if checked.returncode or checked.stdout != result.read_bytes():
        raise DemoError("the result differs from what one process computes (jobs/flights/reference.py)")
    click.echo(
        f"verified: {job.results_returned} results of {sum(stage.chunks for stage in job.stages)} chunks,"
        f" {job.results_wrong} wrong; the merged result ({job.result_size} bytes, SHA-256 {job.result_digest}) equals"
        " what one process computes"
    )


def _say_what_runs(settings: Settings) -> None:
    click.echo(
        f"dashboard    {instance.login_link(settings)}\n"
        f"result       {settings.home / 'demo' / 'result' / 'result'}\n"
        f"logs         {settings.home / 'log'}\n"
        f"stop         server/start --stop        remove everything: ./cleanup"
    )


def _worker_logs(settings: Settings) -> str:
    logs = sorted((settings.home / "log").glob("demo-worker-*.log"))
    return "\n".join(line for log in logs for line in log.read_text(errors="replace").splitlines()[-5:])
