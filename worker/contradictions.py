"""Wishes that cannot be fulfilled together: refused, or cut down to the machine and said. Pure."""

from pathlib import PurePath

from . import defaults
from .defaults import MIB
from .limits import Wishes


def refusal(wishes: Wishes) -> str:
    """Why these wishes contradict each other, beginning with the key to mend (`KEY=…`); empty where they do not."""
    containers, cpus, memory = wishes.containers, wishes.cpus, wishes.memory
    if containers and memory and containers * defaults.SMALLEST_MEMORY > memory:
        room = memory // defaults.SMALLEST_MEMORY
        return (
            f"DC_CONTAINERS={containers}: DC_MEMORY is {memory // MIB} MiB, and a container needs"
            f" {defaults.SMALLEST_MEMORY // MIB} MiB at least: allow {room} containers, or"
            f" {containers * defaults.SMALLEST_MEMORY // MIB}MiB."
        )
    if containers and cpus and containers * defaults.SMALLEST_CPUS > cpus + 1e-9:
        room = int(cpus / defaults.SMALLEST_CPUS + 1e-9)
        return (
            f"DC_CONTAINERS={containers}: DC_CPUS is {cpus:g}, and a container needs {defaults.SMALLEST_CPUS:g} at"
            f" least: allow {room} containers, or {containers * defaults.SMALLEST_CPUS:g} CPUs."
        )
    if wishes.hook and not PurePath(wishes.hook).is_absolute():
        return f"DC_HOOK={wishes.hook}: must be a whole path, such as /usr/local/bin/may-work."
    return ""


def rootless(docker_host: str) -> str:
    """Why a rootless worker cannot use this engine; empty where it may be its user's own."""
    if docker_host.startswith(("tcp://", "http://", "https://", "ssh://")):
        return (
            f"DC_DOCKER_HOST={docker_host}: is another machine's engine, and DC_ROOTLESS=yes allows only this user's"
            " own; leave one of the two out."
        )
    if docker_host.removeprefix("unix://") in ("/var/run/docker.sock", "/run/docker.sock"):
        return (
            f"DC_DOCKER_HOST={docker_host}: is the machine's engine, which runs as root, and DC_ROOTLESS=yes allows"
            " only this user's own; leave one of the two out."
        )
    return ""


def cuts(wishes: Wishes, cores: int, memory: int) -> list[str]:
    """What is more than the machine has, a sentence each: it is cut, not refused, as the same file may serve many."""
    found = []
    if wishes.cpus and wishes.cpus > cores:
        found.append(f"DC_CPUS={wishes.cpus:g} is more than this machine has: {cores} are lent.")
    if wishes.memory and wishes.memory > memory:
        found.append(
            f"DC_MEMORY={wishes.memory // MIB}MiB is more than this machine has: {memory // MIB} MiB are lent."
        )
    lent = min(wishes.memory or defaults.memory(memory), memory)
    room = defaults.most_containers(min(wishes.cpus or defaults.cpus(cores), cores), lent)
    if wishes.containers and wishes.containers > room:
        found.append(
            f"DC_CONTAINERS={wishes.containers} is more than this machine can hold: {room} of"
            f" {defaults.SMALLEST_CPUS:g} CPUs and {defaults.SMALLEST_MEMORY // MIB} MiB at least."
        )
    return found
