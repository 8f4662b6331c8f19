"""Workers beside each other on one host: which of them has which CPU for its containers alone.

A CPU is claimed by the name of an abstract unix socket: the kernel gives it to one process of the host, takes it back
in the moment that the process ends, however it ends, and leaves no file behind. Names are seen within a network
namespace: where a worker has one of its own, or where there are no such sockets, nothing is claimed.
"""

import contextlib
import socket
import struct
import sys
from collections.abc import Iterable

NAME = "dockercomp-cpu"


class Claims:
    """The CPUs that this process has for itself. For one thread."""

    def __init__(self, name: str = NAME) -> None:
        self._name = name
        self._held: dict[int, socket.socket] = {}

    @property
    def held(self) -> frozenset[int]:
        return frozenset(self._held)

    def claim(self, cpus: Iterable[int]) -> frozenset[int]:
        """Take what of these nobody else has; gives those that are ours now, or were before."""
        wanted = frozenset(cpus)
        for cpu in sorted(wanted - self._held.keys()):
            with contextlib.suppress(OSError):  # another's, or no more descriptors
                self._held[cpu] = self._bound(cpu)
        return wanted & self._held.keys()

    def release(self, cpus: Iterable[int]) -> None:
        """Give back what of these is ours."""
        for cpu in cpus:
            if found := self._held.pop(cpu, None):
                found.close()

    def close(self) -> None:
        """Give back all."""
        self.release(self.held)

    def _bound(self, cpu: int) -> socket.socket:
        if sys.platform != "linux":
            raise OSError("there are abstract sockets on Linux only")
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            found.bind(f"\0{self._name}-{cpu}")
        except OSError:
            found.close()
            raise
        return found


def sees_engine(address: str) -> bool:
    """Whether the engine at `address` is a process that this one could see: then both count the same CPUs, and workers
    beside this one are seen. Not so with another host's engine, one in a virtual machine, or from within a container
    that only was given the engine's socket."""
    path = address.removeprefix("unix://")
    if sys.platform != "linux" or not path.startswith("/"):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(5)
            line.connect(path)
            (pid,) = struct.unpack_from("i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except OSError:
        return False
    return bool(pid > 0)


_UCRED = struct.Struct("iII")
"""Process, user and group at a socket's other end; the process is 0 where it is out of sight."""
