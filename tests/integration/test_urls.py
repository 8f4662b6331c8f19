"""Inputs that are URLs: read by range from a real web server and an S3-compatible store, both on loopback."""

import http.client
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import boto3
import pytest

from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.orders import InputSpec, VerifySpec
from dockercomp.protocol.views import InputFile, SubmitRequest
from server.housekeeping import Housekeeping
from server.inputs import Inputs
from server.jobs import Submission
from server.settings import Settings
from server.sources import Sources
from server.store import Store
from tests.integration.simulated import Master
from tests.integration.test_stages import LINES, input_of, job_of, join, run, submit, total, worker
from tests.waiting import wait_until

_NGINX = """
daemon off; pid {root}/pid; error_log stderr;
events {{}}
http {{
  access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f;
  uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  server {{
    listen 127.0.0.1:{port};
    root {root}/www;
    location /norange/ {{ alias {root}/www/; max_ranges 0; }}
    location /moved {{ return 302 http://127.0.0.1:{port}/numbers.txt; }}
    location /inside {{ return 302 http://169.254.169.254/latest; }}
  }}
}}
"""


@dataclass
class Web:
    """nginx over a folder."""

    url: str
    folder: Path

    def put(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return f"{self.url}/{name}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    # Not below pytest's own folder: its worker processes are another user's, and each start of a pytest closes that.
    with TemporaryDirectory(prefix="dc-web-") as folder:
        Path(folder).chmod(0o755)
        yield from _serving(Path(folder))


def _serving(root: Path) -> Iterator[Web]:
    nginx, port = shutil.which("nginx") or "/usr/sbin/nginx", free_port()
    (root / "www").mkdir()
    (root / "conf").write_text(_NGINX.format(root=root, port=port))
    process = subprocess.Popen([nginx, "-p", str(root), "-c", str(root / "conf"), "-e", "stderr"])
    try:
        wait_until(lambda: answers(port))
        yield Web(f"http://127.0.0.1:{port}", root / "www")
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """An S3-compatible store with the bucket `lab`."""
    port = free_port()
    moto = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen([moto, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port), 60)
        s3 = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        s3.create_bucket(Bucket="lab")
        yield s3
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def master(store: Store) -> Master:
    """A master that may read in its own network, since everything here is on loopback."""
    made = Master(store)
    sources = Sources(store, private_urls=True)
    made.sync._inputs = Inputs(store, sources)
    made.submission = Submission(store, b"s" * 32, sources, private_urls=True)
    return made


@pytest.fixture
def housekeeping(master: Master, settings: Settings) -> Housekeeping:
    return Housekeeping(master.store, settings)


def test_lines_of_a_url_are_read_by_range(master: Master, housekeeping: Housekeeping, web: Web) -> None:
    url = web.put("numbers.txt", LINES)
    spec = job_of(InputSpec(split="lines", chunk_size=512))
    for address in (url, f"{web.url}/moved"):
        job = submit(master, spec, InputFile(name="numbers.txt", url=address))
        assert run(master, housekeeping, job, worker(master, join)) == LINES


def test_objects_of_an_s3_store_are_read_by_range(master: Master, housekeeping: Housekeeping, s3: Any) -> None:
    """By a signed URL, which is what gives access to one private object."""
    place = {"Bucket": "lab", "Key": "day 1 ü.jsonl"}
    s3.put_object(**place, Body=LINES)
    file = InputFile(name="day 1 ü.jsonl", url=s3.generate_presigned_url("get_object", Params=place))
    job = submit(master, job_of(InputSpec(split="jsonl", chunk_size=700)), file)
    assert run(master, housekeeping, job, worker(master, total)).count(b"\n") == 6
    job = submit(master, job_of(InputSpec(split="files")), file)
    assert run(master, housekeeping, job, worker(master, join)) == LINES


def test_a_url_that_changed_fails_the_read_and_not_the_result(master: Master, web: Web) -> None:
    url = web.put("changes.txt", LINES)
    job = submit(master, job_of(InputSpec(split="bytes", chunk_size=1000)), InputFile(name="x", url=url))
    volunteer = master.volunteer()
    lease = volunteer.send(volunteer.request(1)).leases[0]
    web.put("changes.txt", LINES[::-1])
    os.utime(web.folder / "changes.txt", (1, 1))  # nginx's ETag is made of time and size
    with pytest.raises(InvalidJob, match="changed since the job was submitted"):
        input_of(master, lease)
    assert master.store.jobs.by_id(job)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "status 404"),
        ("/norange/some.txt", "cannot be read in parts"),
        ("/empty.txt", "is empty"),
    ],
)
def test_a_url_that_cannot_be_read_in_parts_is_refused_at_submission(
    master: Master, web: Web, path: str, why: str
) -> None:
    web.put("some.txt", b"x\n" * 100)
    web.put("empty.txt", b"")
    with pytest.raises(InvalidJob, match=why):
        submit(master, job_of(InputSpec(split="lines")), InputFile(name="x", url=web.url + path))


def test_urls_do_not_lead_into_the_masters_network(store: Store, web: Web) -> None:
    master = Master(store)
    for url in (web.put("secret.txt", b"x\n"), "file:///etc/passwd", "http://[::1]/", f"{web.url}/inside"):
        with pytest.raises(InvalidJob, match="cannot be read"):
            submit(master, job_of(InputSpec(split="lines")), InputFile(name="x", url=url))


def test_workers_are_told_what_to_read_themselves(master: Master, web: Web) -> None:
    url = web.put("lines.txt", LINES)
    spec = job_of(InputSpec(split="lines", chunk_size=1000, fetch="workers"), verify=VerifySpec(policy="none"))
    master.submission.submit("ada", SubmitRequest(spec=spec, inputs=[InputFile(name="x", url=url)]), "")
    volunteer = master.volunteer()
    fetches = [fetch for lease in volunteer.send(volunteer.request(9)).leases for fetch in lease.fetch or []]
    assert [(f.url, f.start, f.stop, f.size, f.lines) for f in fetches] == [
        (url, start, min(start + 1000, len(LINES)), len(LINES), True) for start in range(0, len(LINES), 1000)
    ]
    assert all(fetch.etag for fetch in fetches)
