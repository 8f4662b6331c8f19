"""Which Docker Engine is meant where none was named, and why one does not answer: what to say and what to do."""

from collections.abc import Iterator
from pathlib import Path

from dockercomp.machine import docker_host
from dockercomp.machine.home import default_home


def likely_address() -> str:
    """The engine that answers; where none does, the first of which there is a socket, so that the error is its own."""
    addresses = docker_host.candidates(default_home())
    try:
        return docker_host.find(default_home())
    except docker_host.NoEngineError:
        there = [address for address in addresses if Path(address.removeprefix("unix://")).exists()]
        return (there or addresses)[0]


def why_unreachable(error: BaseException, address: str) -> str:
    """Why no engine answers there and what to do about it."""
    causes = list(_causes(error))
    where = address.removeprefix("unix://") or "Docker's socket"
    if any(isinstance(cause, FileNotFoundError) for cause in causes):
        return (
            f"Docker is not installed, or was never started: there is no {where}. Install Docker Engine (installer.sh"
            " does), or set DC_DOCKER_HOST to where its socket is."
        )
    if any(isinstance(cause, PermissionError) for cause in causes):
        return (
            f"no permission for Docker's socket {where}: add this user to the group docker (sudo usermod -aG docker"
            " $USER, then log in again), or set DC_DOCKER_HOST to an engine of your own."
        )
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return f"Docker is not running: nothing listens at {where}. Start it: sudo systemctl start docker."
    return f"the Docker Engine at {where} does not answer: {causes[-1]}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of, also where it is only among the arguments, as in requests and urllib3."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = (found.__cause__, found.__context__, *found.args)
        waiting += [cause for cause in inner if isinstance(cause, BaseException)]
