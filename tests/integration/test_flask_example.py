"""docs/examples/flask: a web page in a container of its own whose handlers submit jobs and show their results."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.integration.masters import free_port
from tests.integration.shelf_parts import CHECKOUT, Shelf
from tests.waiting import wait_until

IMAGE = "dockercomp-test/words-page"
BUILD = CHECKOUT / "docs" / "examples" / "flask" / "build"


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # where uv is
    subprocess.run([BUILD, "--tag", IMAGE], check=True, stdout=subprocess.DEVNULL, env=environ)
    yield IMAGE
    subprocess.run(["docker", "image", "rm", IMAGE], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def page(shelf: Shelf, image: str, tmp_path: Path) -> Iterator[str]:
    """The address of the running page."""
    shelf.need("dockercomp/python")
    port = free_port()
    settings = {
        "DC_PUBLIC_URL": shelf.client.master.url,
        "DC_API_TOKEN": shelf.client.master._token,
        "GUNICORN_CMD_ARGS": f"--bind 127.0.0.1:{port} --threads 4 --worker-tmp-dir /dev/shm",
    }
    environ = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
    command = ["docker", "run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp", *environ, image]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(address), seconds=60)
        yield address
    finally:
        logs = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
        print(logs.stdout, logs.stderr)
        subprocess.run(["docker", "rm", "--force", "--volumes", container], check=True, stdout=subprocess.DEVNULL)


def answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=5).ok
    except requests.RequestException:
        return False


def test_a_visitor_has_words_counted(page: str) -> None:
    assert "<textarea" in requests.get(page, timeout=30).text
    text = "the cat and the dog\nand the bird\n"
    shown = requests.post(page, data={"text": text}, timeout=60)
    assert shown.ok and re.fullmatch(rf"{page}/jobs/j\w+", shown.url)
    wait_until(lambda: ": running" not in requests.get(shown.url, timeout=30).text, seconds=120)
    done = requests.get(shown.url, timeout=30).text
    assert ": completed" in done
    assert "<pre>3 the\n2 and\n1 bird\n1 cat\n1 dog\n</pre>" in done


def test_a_job_that_is_not_there_is_said(page: str) -> None:
    answer = requests.get(f"{page}/jobs/j0", timeout=30)
    assert answer.status_code == 404 and "there is no job j0" in answer.text
