"""What containers with a network may reach, as iptables takes it: public addresses only. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Network, collapse_addresses

from dockercomp.machine.firewall_rules import REFUSE, chain

NOT_PUBLIC = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
        ),
    )
)
"""Special-purpose addresses (IANA's registry, RFC 6890); 169.254.169.254 is where clouds keep a machine's secrets."""


def attached(routes: str) -> list[IPv4Network]:
    """The networks that this machine is part of, or reaches by a route of their own: /proc/net/route without the
    default. Also where they have public addresses they are the volunteer's, not the internet."""
    found = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        network = IPv4Network(f"{_address(fields[1])}/{_address(fields[7])}")
        if network.prefixlen > 1:  # else it is the default, which some tunnels write as two halves
            found.append(network)
    return found


def rules(bridge: str, own: Iterable[IPv4Network]) -> str:
    """The chain, whole, for `iptables-restore --noflush`; it replaces an earlier one at once."""
    closed = collapse_addresses([*NOT_PUBLIC, *own])
    own_chain, refuse = chain(bridge), " ".join(REFUSE)
    lines = ["*filter", f":{own_chain} - [0:0]", *(f"-A {own_chain} -d {each} -j {refuse}" for each in closed)]
    return "\n".join([*lines, "COMMIT", ""])


def traffic(interface: str, table: str) -> int:
    """Bytes received and sent by an interface, of /proc/net/dev; 0 where there is no such interface."""
    for line in table.splitlines():
        name, colon, counts = line.partition(":")
        if colon and name.strip() == interface:
            numbers = counts.split()
            return int(numbers[0]) + int(numbers[8])
    return 0


def _address(little_endian: str) -> str:
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(little_endian)))
