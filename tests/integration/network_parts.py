"""A host with a network of its own, in namespaces: an engine with a bridge, a neighbour, and an internet beyond."""

import contextlib
import ctypes
import io
import os
import secrets
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

from docker.api.client import APIClient

from dockercomp.machine.docker_host import ask
from tests.waiting import wait_until

T = TypeVar("T")

PORT = 7777
HOST, NEIGHBOUR, PUBLIC_NEIGHBOUR = "192.168.77.2", "192.168.77.1", "11.0.0.1"
INTERNET, METADATA, PRIVATE = "8.8.4.4", "169.254.169.254", "10.9.9.9"
_SERVE = f"import socketserver as s; s.ThreadingTCPServer(('0.0.0.0', {PORT}), s.BaseRequestHandler).serve_forever()"
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Host:
    """`address` is that of its engine; `image` one whose only program is /reach (reach.c)."""

    namespace: str
    address: str
    image: str

    def inside(self, act: Callable[[], T]) -> T:
        """Do it in a thread whose network is the host's; programs and threads that it starts inherit that."""

        def enter() -> None:
            with Path(f"/run/netns/{self.namespace}").open() as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                assert libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

        with ThreadPoolExecutor(1, initializer=enter) as thread:
            return thread.submit(act).result()


@contextmanager
def host(folder: Path) -> Iterator[Host]:
    """The host at 192.168.77.2 and 11.0.0.2 with its LAN; everything else lies behind its neighbour."""
    near, far = (f"dc{kind}{secrets.token_hex(3)}" for kind in "nf")
    with ExitStack() as undo:
        for name in (near, far):
            _ip("netns", "add", name)
            undo.callback(_ip, "netns", "del", name)
            _ip("-n", name, "link", "set", "lo", "up")
        _ip("link", "add", "lan0", "netns", near, "type", "veth", "peer", "name", "lan0", "netns", far)
        for name, addresses in ((near, (HOST, "11.0.0.2")), (far, (NEIGHBOUR, PUBLIC_NEIGHBOUR))):
            for address in addresses:
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", "lan0")
            _ip("-n", name, "link", "set", "lan0", "up")
        for address in (INTERNET, METADATA, PRIVATE):
            _ip("-n", far, "addr", "add", f"{address}/32", "dev", "lo")
        _ip("-n", near, "route", "add", "default", "via", NEIGHBOUR)
        for name in (near, far):
            undo.enter_context(_running(["ip", "netns", "exec", name, sys.executable, "-c", _SERVE]))
        address = undo.enter_context(_engine(near, folder))
        yield Host(near, address, _image(address, folder))


@contextmanager
def _engine(namespace: str, folder: Path) -> Iterator[str]:
    socket, own = folder / "s", f"dctest-{namespace}"
    command = [
        "nsenter", f"--net=/run/netns/{namespace}", "dockerd",
        f"--host=unix://{socket}", f"--data-root={folder / 'data'}", f"--exec-root={folder / 'exec'}",
        f"--pidfile={folder / 'pid'}", "--storage-driver=vfs",
        f"--containerd-namespace={own}", f"--containerd-plugins-namespace={own}-plugins",
    ]  # fmt: skip
    with _running(command, folder / "log"):
        address = f"unix://{socket}"

        def answers() -> bool:
            with contextlib.suppress(OSError, ValueError, HTTPException):  # docker-py would leak its socket
                return bool(ask(address, "GET", "/version", timeout=5))
            return False

        wait_until(answers, 60)
        yield address


@contextmanager
def _running(command: list[str], log: Path | None = None) -> Iterator[None]:
    with log.open("wb") if log else contextlib.nullcontext(subprocess.DEVNULL) as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _image(address: str, folder: Path) -> str:
    compiler = shutil.which("gcc") or "cc"
    program = folder / "reach"
    subprocess.run([compiler, "-static", "-o", program, Path(__file__).with_name("reach.c")], check=True)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(program, "reach")
    with _client(address) as client:
        client.import_image_from_data(packed.getvalue(), repository="reach", tag="latest")
        return str(client.inspect_image("reach:latest")["Id"])


def exit_code(address: str, container: str) -> int:
    """Waits for the container's end."""
    with _client(address) as client:
        return int(client.wait(container)["StatusCode"])


@contextmanager
def _client(address: str) -> Iterator[APIClient]:
    client = APIClient(base_url=address, version="1.41")
    try:
        yield client
    finally:
        client.close()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
