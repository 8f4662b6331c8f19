"""Where the firewall around containers with a network hooks in, and how it is taken away. Standard library only.

Docker sends what its networks forward through the chain DOCKER-USER first, and what is meant for the host itself goes
through INPUT. Into both the worker puts a rule for its own bridge, in a chain that the volunteer can see.
"""

import contextlib
import os
import shutil
import subprocess

REFUSE = ("REJECT", "--reject-with", "icmp-port-unreachable")


def bridge_of(label: str) -> str:
    """The bridge of an instance, and its network's name in the engine: at most 15 letters, as the kernel wants it."""
    return f"dc{label}"[:15]


def chain(bridge: str) -> str:
    return f"{bridge}-out"


def jumps(bridge: str) -> list[list[str]]:
    """Where the bridge's traffic is judged: what is forwarded by our chain; what is for this machine not at all."""
    return [["DOCKER-USER", "-i", bridge, "-j", chain(bridge)], ["INPUT", "-i", bridge, "-j", *REFUSE]]


def iptables(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Raises OSError, subprocess.SubprocessError."""
    command = ["iptables", "--wait", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def is_there(name: str) -> bool:
    """Whether the firewall has a chain of that name; False where it cannot be told, as only root can put one there."""
    if os.geteuid() != 0 or shutil.which("iptables") is None:
        return False
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        return iptables("-n", "-L", name).returncode == 0
    return False


def remove(bridge: str) -> None:
    """Harmless where there are none. Raises OSError, subprocess.SubprocessError."""
    for jump in jumps(bridge):
        iptables("-D", *jump)
    for option in ("-F", "-X"):
        iptables(option, chain(bridge))
