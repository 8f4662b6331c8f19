"""Whatever an order says and a volunteer allows: what nobody may have never comes out as an option of the engine."""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import msgspec
import pytest
from docker.api.client import APIClient
from hypothesis import given, settings
from hypothesis import strategies as st

from dockercomp.machine import firewall_rules
from dockercomp.protocol.orders import (
    CAPABILITIES,
    DEVICES,
    ImagePin,
    JobOrder,
    ProgramSpec,
    ResourcesSpec,
    StageOrder,
    WantsSpec,
)
from worker import engine, firewall
from worker.access import LOCKED, Access, Network, access_of
from worker.container import WarmContainer
from worker.engine import ContainerSpec
from worker.tasks import Size

NETWORK = Network(name="dcours", resolvers=("9.9.9.9",), sysctls={"net.ipv6.conf.all.disable_ipv6": "1"})
_API = APIClient(base_url="tcp://127.0.0.1:1", version="1.41")

words = st.one_of(
    st.sampled_from(
        [*sorted(CAPABILITIES), *sorted(DEVICES), "ALL", "SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "host",
         "/dev/sda", "/dev/kvm:/dev/kvm:rwm", "/var/run/docker.sock", "container:x", "--privileged"]
    ),
    st.text(max_size=20),
)  # fmt: skip
wants = st.builds(
    WantsSpec,
    network=st.booleans(),
    writable_root=st.booleans(),
    capabilities=st.lists(words, max_size=5),
    devices=st.lists(words, max_size=5),
    reason=words,
)
orders = st.builds(
    JobOrder,
    version=st.integers(0, 3),
    job=words,
    name=words,
    image=st.builds(ImagePin, name=words, config_digest=words, platform=st.just("linux/amd64")),
    program=words,
    split=st.just("range"),
    stages=st.just([StageOrder(program=ProgramSpec(command=["true"]))]),
    setup=st.lists(words, max_size=3),
    resources=st.builds(ResourcesSpec, disk=st.integers(2**20, 2**33)),
    wants=wants,
    environment=st.dictionaries(words, words, max_size=3),
)


def options(spec: ContainerSpec, volumes: list[str]) -> Mapping[str, Any]:
    return engine._host_config(_API, spec, engine._mounts(spec, volumes))  # type: ignore[no-any-return]


@settings(deadline=None)
@given(order=orders, volumes=st.lists(words, max_size=3))
def test_what_nobody_may_have_never_comes_out(order: JobOrder, volumes: list[str]) -> None:
    home = Path("/nowhere")
    access = access_of(order.wants, NETWORK, (104,))
    container = WarmContainer(None, order, "sha256:x", Path("/job"), 1, Size(1, 2**28, 2**20), home, access)  # type: ignore[arg-type]
    container._folders.binds = dict  # type: ignore[method-assign, assignment]
    spec = _spec(container)
    found = options(spec, volumes)
    assert not found.get("Privileged") and "no-new-privileges" in found["SecurityOpt"]
    assert any(option.startswith("seccomp={") for option in found["SecurityOpt"])
    for namespace in ("PidMode", "UTSMode", "UsernsMode", "CgroupnsMode"):
        assert not found.get(namespace), namespace
    assert found["IpcMode"] == "private" and found["CapDrop"] == ["ALL"]
    assert found["NetworkMode"] == ("dcours" if order.wants.network else "none"), "KILL alone is the runner's"
    assert set(found.get("CapAdd") or ()) <= CAPABILITIES | {"KILL"}
    given_devices = found.get("Devices") or []
    assert {device["PathOnHost"] for device in given_devices} <= DEVICES
    assert all(device["PathInContainer"] == device["PathOnHost"] for device in given_devices)
    assert all(device["CgroupPermissions"] == "rw" for device in given_devices)
    assert found["ReadonlyRootfs"] is not order.wants.writable_root
    assert not found.get("Binds") and not found.get("VolumesFrom") and not found.get("Links")
    for mount in found["Mounts"]:
        assert mount["ReadOnly"] and mount["Type"] in ("bind", "tmpfs")
        assert "docker.sock" not in str(mount.get("Source"))
        assert mount["Type"] == "tmpfs" or Path(mount["Source"]) in (Path("/sock"), Path("/job"), Path("/runner"))
    assert spec.access.user in ("0:0", "65534:65534") and not spec.environment
    assert found["PidsLimit"] and found["Memory"] == found["MemorySwap"] > 0


def _spec(container: WarmContainer) -> ContainerSpec:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.container.programs_of_ours", lambda *_: {Path("/runner"): "/dc/runner"})
        return container._spec(Path("/sock"))


def test_without_wants_a_container_is_locked() -> None:
    assert access_of(WantsSpec(), NETWORK) == LOCKED == Access()
    assert LOCKED.user == "65534:65534"
    assert LOCKED.options() == {
        "network_mode": "none", "read_only": True, "cap_drop": ["ALL"], "cap_add": [], "devices": [], "group_add": [],
    }  # fmt: skip


def test_a_network_comes_with_public_resolvers_and_without_ipv6() -> None:
    found = access_of(WantsSpec(network=True), NETWORK).options()
    assert found["network_mode"] == "dcours" and found["dns"] == ["9.9.9.9"]
    assert found["sysctls"] == {"net.ipv6.conf.all.disable_ipv6": "1"}
    assert access_of(WantsSpec(network=True), None).options()["network_mode"] == "none"


def test_whoever_may_write_the_root_folder_is_root_inside_with_the_capabilities_asked_for_alone() -> None:
    assert access_of(WantsSpec(writable_root=True), None) == Access(writable_root=True)
    found = access_of(WantsSpec(writable_root=True, capabilities=["SETGID"]), None)
    assert (found.user, found.options()["cap_add"], found.options()["cap_drop"]) == ("0:0", ["SETGID"], ["ALL"])


def test_where_a_program_can_make_things_of_other_users_the_runner_can_remove_them() -> None:
    found = access_of(WantsSpec(capabilities=["CHOWN"]), None).options()
    assert found["cap_add"] == ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"]


# --- the firewall ----------------------------------------------------------------------------------------------------

ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0101A8C0	0003	0	0	0	00000000	0	0	0
eth0	0001A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
eth1	0000FE8E	00000000	0001	0	0	0	0000FFFF	0	0	0
tun0	00000080	0101A8C0	0003	0	0	0	00000080	0	0	0
"""


def test_the_machines_own_networks_are_closed_also_where_they_are_public() -> None:
    own = firewall.attached(ROUTES)
    assert own == [IPv4Network("192.168.1.0/24"), IPv4Network("142.254.0.0/16")]
    text = firewall.rules("dcbridge", own)
    assert "-A dcbridge-out -d 142.254.0.0/16 -j REJECT" in text and "-d 0.0.0.0/0" not in text


@pytest.mark.parametrize(
    ("address", "closed"),
    [
        ("169.254.169.254", True), ("127.0.0.1", True), ("10.1.2.3", True), ("172.17.0.1", True),
        ("172.32.0.1", False), ("192.168.1.1", True), ("100.64.0.1", True), ("224.0.0.1", True),
        ("255.255.255.255", True), ("8.8.8.8", False), ("142.254.3.4", True), ("142.253.0.1", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_open(address: str, closed: bool) -> None:
    text = firewall.rules("dcbridge", firewall.attached(ROUTES))
    lines = [line.split() for line in text.splitlines() if line.startswith("-A")]
    assert any(IPv4Address(address) in IPv4Network(line[3]) for line in lines) is closed


def test_names_of_bridge_and_chain_are_not_too_long_for_the_kernel() -> None:
    bridge = f"dc{'a' * 12}"
    assert firewall_rules.bridge_of("a" * 12) == bridge and len(bridge) <= 15
    assert len(firewall_rules.chain(bridge)) <= 28
    assert [jump[0] for jump in firewall_rules.jumps(bridge)] == ["DOCKER-USER", "INPUT"]


def test_traffic_of_the_bridge_is_read() -> None:
    table = "Inter-|\n face |bytes\n  lo: 1 2 3 4 5 6 7 8 9 1 1 1 1 1 1 1\ndcb: 100 2 0 0 0 0 0 0 50 1 0 0 0 0 0 0\n"
    assert firewall.traffic("dcb", table) == 150 and firewall.traffic("dcx", table) == 0


def test_wants_survive_the_wire() -> None:
    asked = WantsSpec(network=True, capabilities=["CHOWN"], reason="r")
    assert msgspec.json.decode(msgspec.json.encode(asked), type=WantsSpec) == asked
