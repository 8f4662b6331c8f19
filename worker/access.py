"""What a container of ours may do beyond the locked default: the one place where a consented want becomes an option of
the engine. Pure.

What cannot be expressed here cannot be had: a privileged container, a namespace of the host, Docker's socket, a path of
the host, another device or capability than those of the protocol.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dockercomp.protocol.orders import CAPABILITIES, DEVICES, WantsSpec

NOBODY, ROOT = "65534:65534", "0:0"
_MAKES_USERS = frozenset({"CHOWN", "SETUID"})
_TO_CLEAR_UP = ("DAC_OVERRIDE", "FOWNER", "KILL")


@dataclass(frozen=True)
class Network:
    """A network of ours with a way out (worker/outbound.py)."""

    name: str
    resolvers: tuple[str, ...]
    """Public name servers: those of the host may be on the volunteer's own network."""
    sysctls: Mapping[str, str]


@dataclass(frozen=True)
class Access:
    network: Network | None = None
    writable_root: bool = False
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    """The groups that the devices belong to."""

    @property
    def user(self) -> str:
        """Root inside, where else neither the root folder nor a capability would be of use. All capabilities but those
        asked for are dropped all the same, and no new privileges can be had."""
        return ROOT if self.writable_root or self.capabilities else NOBODY

    @property
    def _to_clear_up(self) -> tuple[str, ...]:
        """What the runner needs to end and remove what a program made of other users; the program has it too."""
        return _TO_CLEAR_UP if _MAKES_USERS.intersection(self.capabilities) else ()

    def options(self) -> dict[str, Any]:
        """The options of the engine, as docker-py's create_host_config takes them."""
        found: dict[str, Any] = {
            "network_mode": self.network.name if self.network else "none",
            "read_only": not self.writable_root,
            "cap_drop": ["ALL"],
            "cap_add": sorted({*self.capabilities, *self._to_clear_up}),
            "devices": [f"{device}:{device}:rw" for device in self.devices],
            "group_add": [str(group) for group in self.groups],
        }
        if self.network:
            found |= {"dns": list(self.network.resolvers), "sysctls": dict(self.network.sysctls)}
        return found


LOCKED = Access()


def access_of(wants: WantsSpec, network: Network | None, groups: tuple[int, ...] = ()) -> Access:
    """The access of a job that the volunteer has admitted. `network` is there where it wants one."""
    return Access(
        network=network if wants.network else None,
        writable_root=wants.writable_root,
        capabilities=tuple(sorted(CAPABILITIES.intersection(wants.capabilities))),
        devices=tuple(sorted(DEVICES.intersection(wants.devices))),
        groups=groups,
    )
