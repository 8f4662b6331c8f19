"""Which Docker Engine this machine has, and the few questions that set-up and removal put to it.

Standard library only: it is used before the worker's packages are there and after they are gone. The worker itself
speaks to the engine through worker/engine.py.
"""

import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .home import default_home

DEFAULT = "unix:///var/run/docker.sock"


class NoEngineError(RuntimeError):
    """No Docker Engine answers; the message says where it was looked for, and what to do."""


class NoPermissionError(NoEngineError):
    """An engine's socket is there, but this user may not open it."""


def private_socket(home: Path) -> Path:
    """The socket of the engine that an instance runs for itself (private_engine.py)."""
    return home / "run" / "docker.sock"


def candidates(home: Path, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Addresses to try, in order. One that was named is the only one; a rootless instance has none but its own."""
    if environ.get("DC_ROOTLESS") == "yes":
        return [f"unix://{private_socket(home)}"]
    for key in ("DC_DOCKER_HOST", "DOCKER_HOST"):
        if environ.get(key):
            return [environ[key]]
    sockets = [Path("/var/run/docker.sock"), private_socket(home), Path("~/.docker/run/docker.sock").expanduser()]
    if environ.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(environ["XDG_RUNTIME_DIR"]) / "docker.sock")
    return [f"unix://{path}" for path in sockets]


def find(home: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The address of the first engine that answers. Raises NoEngineError or NoPermissionError."""
    reasons = []
    denied = False
    for address in candidates(home, environ):
        try:
            ask(address, "GET", "/_ping", timeout=5)
        except PermissionError:
            denied = True
            reasons.append(f"{address}: no permission")
        except FileNotFoundError:
            reasons.append(f"{address}: not there")
        except (OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{address}: {error}")
        else:
            return address
    if denied:
        raise NoPermissionError(
            f"no permission for the Docker Engine's socket ({'; '.join(reasons)}): add this user to the group docker"
            " (sudo usermod -aG docker $USER, then log in again), or set DC_DOCKER_HOST to an engine of your own."
        )
    raise NoEngineError(f"no Docker Engine answers ({'; '.join(reasons)}).")


def ask(address: str, method: str, path: str, timeout: float = 60.0) -> Any:
    """One request to an engine; returns its decoded JSON, or text. Raises OSError, HTTPException, ValueError."""
    connection = _connection(address, timeout)
    try:
        connection.request(method, path, headers={"Host": "docker"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status >= 400:
        raise ValueError(f"{method} {path}: {answer.status} {body.decode(errors='replace').strip()}")
    return json.loads(body) if "json" in answer.headers.get("Content-Type", "") else body.decode(errors="replace")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    if parts.scheme == "unix":
        return _UnixConnection(parts.path, timeout)
    if parts.scheme in ("tcp", "http") and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port or 2375, timeout=timeout)
    raise ValueError(f"{address}: only unix:// and tcp:// addresses of an engine can be used")


def main() -> int:
    """Print the address of the engine that answers; exit code 1 where none does, 77 where it is not permitted."""
    try:
        print(find(default_home()))
    except NoEngineError as error:
        print(error, file=sys.stderr)
        return 77 if isinstance(error, NoPermissionError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
