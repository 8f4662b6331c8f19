"""A job that may have the network reaches the internet and nothing of the volunteer's: a real engine, real iptables."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockercomp.machine import firewall_rules
from dockercomp.machine.docker_objects import remove_objects
from dockercomp.protocol.orders import WantsSpec
from tests.integration.network_parts import (
    HOST,
    INTERNET,
    METADATA,
    NEIGHBOUR,
    PRIVATE,
    PUBLIC_NEIGHBOUR,
    Host,
    exit_code,
    host,
)
from tests.waiting import wait_until
from worker.access import LOCKED, Access, Network, access_of
from worker.engine import ContainerSpec, Engine, EngineError
from worker.ledger import Ledger
from worker.outbound import Outbound

ASKED = (INTERNET, NEIGHBOUR, PUBLIC_NEIGHBOUR, METADATA, PRIVATE, HOST, "11.0.0.2")
ONLY_THE_INTERNET = 0b0000001
INSTANCE = "abcdef012345"


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host(tmp_path_factory.mktemp("d")) as found:
        yield found


@pytest.fixture
def engine(lan: Host) -> Iterator[Engine]:
    found = Engine(INSTANCE, lan.address)
    yield found
    for container in found.ours():
        found.remove(container)
    found.close()


def outbound(engine: Engine, folder: Path, limit: int = 0) -> Outbound:
    return Outbound(engine, engine.facts(), Ledger(folder, limit))


def spec_of(lan: Host, access: Access, asked: tuple[str, ...]) -> ContainerSpec:
    return ContainerSpec(
        name="dc-reach",
        image=lan.image,
        command=("/reach", *asked),
        cpus=1.0,
        memory_limit=64 * 2**20,
        scratch=2**20,
        access=access,
    )


def reached(lan: Host, engine: Engine, access: Access, asked: tuple[str, ...] = ASKED) -> int:
    container = engine.create(spec_of(lan, access, asked))
    engine.start(container)
    try:
        return exit_code(lan.address, container)
    finally:
        engine.remove(container)


def listed() -> str:
    return subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout


def open_network(lan: Host, folder: Path, engine: Engine) -> tuple[Outbound, Network]:
    way_out = outbound(engine, folder)
    (folder / "worker").mkdir(exist_ok=True)
    return way_out, lan.inside(way_out.ensure)


def test_the_internet_is_reached_and_nothing_of_the_volunteers(lan: Host, engine: Engine, tmp_path: Path) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    try:
        access = access_of(WantsSpec(network=True), network)
        assert reached(lan, engine, access) == ONLY_THE_INTERNET
        gateway = tuple(f"172.{number}.0.1" for number in (17, 18, 19))
        assert reached(lan, engine, access, gateway) == 0
        assert reached(lan, engine, LOCKED) == 0
        lan.inside(way_out._tally)
        assert Ledger(tmp_path).used() == 0 < way_out._ledger.used()
    finally:
        lan.inside(way_out.remove)


def test_containers_of_the_network_do_not_see_each_other(lan: Host, engine: Engine, tmp_path: Path) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    try:
        rules = lan.inside(
            lambda: subprocess.run(["iptables", "-S"], capture_output=True, text=True, check=True).stdout
        )
        assert f"-A FORWARD -i {network.name} -o {network.name} -j DROP" in rules
    finally:
        lan.inside(way_out.remove)


def test_the_address_of_a_container_is_told(lan: Host, engine: Engine, tmp_path: Path) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    try:
        container = engine.create(spec_of(lan, access_of(WantsSpec(network=True), network), ()))
        engine.start(container)
        assert engine.address(container, network.name).startswith("172.")
        assert engine.address(container, "another") == "none"
        engine.remove(container)
    finally:
        lan.inside(way_out.remove)


def test_containers_are_cut_off_when_the_days_volume_is_used_up(lan: Host, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    ledger = Ledger(tmp_path, 1000)
    way_out = Outbound(engine, engine.facts(), ledger)
    network = lan.inside(way_out.ensure)
    try:
        access = access_of(WantsSpec(network=True), network)
        container = engine.create(spec_of(lan, access, ()))
        engine.start(container)
        lan.inside(way_out._look)
        assert engine.running(container)
        ledger.count(1000)
        lan.inside(way_out._look)
        wait_until(lambda: not engine.running(container))
    finally:
        lan.inside(way_out.remove)


def test_a_volume_far_exceeded_within_one_look_is_counted_once_and_cuts_off(
    lan: Host, engine: Engine, tmp_path: Path
) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    try:
        access = access_of(WantsSpec(network=True), network)
        reached(lan, engine, access, (INTERNET,))
        container = engine.create(spec_of(lan, access, ()))
        engine.start(container)
        way_out._ledger.limit = 1
        lan.inside(way_out._look)
        wait_until(lambda: not engine.running(container))
        lan.inside(way_out._look)
        assert 1.25 < way_out._ledger.used() == way_out._counted
    finally:
        lan.inside(way_out.remove)


def test_a_firewall_that_was_swept_away_is_put_back(lan: Host, engine: Engine, tmp_path: Path) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    access = access_of(WantsSpec(network=True), network)
    try:
        lan.inside(lambda: subprocess.run(["iptables", "-F", "DOCKER-USER"], check=True))
        assert reached(lan, engine, access, (NEIGHBOUR,)) == 1, (
            "without the firewall Docker lets it reach the neighbour"
        )
        lan.inside(way_out.ensure)
        assert reached(lan, engine, access, (NEIGHBOUR, INTERNET)) == 0b10
    finally:
        lan.inside(way_out.remove)


def test_removing_it_leaves_neither_network_nor_rule(lan: Host, engine: Engine, tmp_path: Path) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    assert network.name in lan.inside(listed)
    lan.inside(way_out.remove)
    assert network.name not in lan.inside(listed)
    with pytest.raises(EngineError, match="not found"):
        engine.create(spec_of(lan, access_of(WantsSpec(network=True), network), ASKED)) and engine.start("dc-reach")
    lan.inside(way_out.remove)


def test_where_the_engine_keeps_no_firewall_there_is_no_network(tmp_path: Path) -> None:
    """The engine of the other tests runs without a bridge."""
    plain = Engine(INSTANCE)
    try:
        way_out = outbound(plain, tmp_path)
        assert "without a bridge" in way_out.hindrance()
        with pytest.raises(EngineError, match="there can be no network for containers"):
            way_out.ensure()
    finally:
        plain.close()


def test_cleaning_up_takes_network_and_rules_of_a_worker_that_was_killed(
    lan: Host, engine: Engine, tmp_path: Path
) -> None:
    way_out, network = open_network(lan, tmp_path, engine)
    said: list[str] = []

    def do(what: str, there: object, act: Callable[[], object]) -> None:
        said.append(what)
        act()

    lan.inside(lambda: remove_objects(lan.address, "another", [], do))
    assert not said and network.name in lan.inside(listed)
    lan.inside(lambda: remove_objects(lan.address, INSTANCE, [], do))
    assert said == [f"remove the network {network.name}"]
    assert lan.inside(lambda: firewall_rules.is_there(firewall_rules.chain(network.name)))
    lan.inside(lambda: firewall_rules.remove(network.name))
    assert network.name not in lan.inside(listed)
    lan.inside(way_out.remove)
