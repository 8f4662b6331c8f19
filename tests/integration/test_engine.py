"""The engine adapter against a real Docker Engine: containers are locked, limits are live, errors say what to do."""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dockercomp.machine import docker_host
from tests.integration.docker_parts import IMAGE, MIB, image_id
from tests.waiting import wait_until
from worker import cgroup, cpu_list, cpu_weight
from worker.engine import ContainerSpec, Engine, EngineError, EngineUnavailable, ImageMissing

HOST = os.environ.get("DC_DOCKER_HOST", "")


def docker(*arguments: str) -> str:
    return subprocess.run(["/usr/bin/docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine(f"test{secrets.token_hex(4)}", HOST)
    yield engine
    for container in engine.ours():
        engine.remove(container)
    engine.close()


@pytest.fixture
def spec(engine: Engine) -> ContainerSpec:
    """A container that does nothing for long."""
    return ContainerSpec(
        name=f"dc-test-{secrets.token_hex(4)}",
        image=image_id(engine),
        command=("sleep", "1000"),
        cpus=0.5,
        memory_limit=64 * MIB,
        scratch=8 * MIB,
    )


def started(engine: Engine, spec: ContainerSpec) -> str:
    container = engine.create(spec)
    engine.start(container)
    return container


def test_facts(engine: Engine) -> None:
    facts = engine.facts()
    assert facts.version == docker("version", "--format", "{{.Server.Version}}")
    assert facts.platform == docker("version", "--format", "{{.Server.Os}}/{{.Server.Arch}}")
    assert facts.cgroup == f"v{docker('info', '--format', '{{.CgroupVersion}}')}"
    assert facts.cpus >= 1
    assert facts.memory > 64 * MIB
    assert facts.storage
    assert str(facts.pins).lower() == docker("info", "--format", "{{.CPUSet}}")


def test_a_container_is_locked(engine: Engine, spec: ContainerSpec) -> None:
    [details] = json.loads(docker("inspect", engine.create(replace(spec, labels={"dockercomp.job": "j1"}))))
    config, host = details["Config"], details["HostConfig"]
    assert config["User"] == "65534:65534"
    assert config["Labels"] == {"dockercomp.instance": engine.instance, "dockercomp.job": "j1"}
    assert config["Hostname"] == "dc"
    assert not config["OpenStdin"]
    assert not config["Tty"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"][0] == "no-new-privileges"
    assert "SCMP_ACT_ERRNO" in host["SecurityOpt"][1], "a profile of system calls of our own"
    assert host["ReadonlyRootfs"]
    assert not host["Init"] and config["StopSignal"] == "SIGKILL", "the runner is process 1"
    assert host["OomScoreAdj"] == 500
    assert host["LogConfig"]["Type"] == "none"
    assert host["IpcMode"] == "private"
    assert host["PidsLimit"] == 256
    assert host["RestartPolicy"]["Name"] == "no"
    assert (host["CpuPeriod"], host["CpuQuota"], host["NanoCpus"]) == (100_000, 50_000, 0)
    assert host["Memory"] == host["MemorySwap"] == 64 * MIB
    assert not host["Privileged"]
    assert host["Tmpfs"] == {"/tmp": f"rw,exec,nosuid,nodev,size={8 * MIB},nr_inodes=16384,mode=1777"}


LOOK = """
import json, os, socket, sys
def writes(path):
    try:
        open(path + "/x", "wb").write(b"x")
        return True
    except OSError:
        return False
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
found = {
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "cwd": os.getcwd(),
    "capabilities": [int(status[key], 16) for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"], "interfaces": [name for _, name in socket.if_nameindex()],
    "writable": [path for path in ("/", "/etc", "/usr", "/var/tmp", "/run", "/dev", "/dev/mqueue", "/sys", "/in",
        "/data", "/tmp") if writes(path)],
    "stdin": sys.stdin.read(), "greeting": os.environ.get("GREETING"), "given": open("/in/given").read(),
    "files": __import__("resource").getrlimit(7), "core": __import__("resource").getrlimit(4),
}
connection = socket.socket(socket.AF_UNIX)
connection.connect("/in/socket")
connection.sendall(json.dumps(found).encode())
"""


@pytest.fixture
def image_with_ideas(engine: Engine) -> Iterator[str]:
    """An image with an entrypoint, a health check and a volume of its own, which must not matter."""
    container = docker("create", image_id(engine), "true")
    ideas = ['ENTRYPOINT ["/bin/false"]', 'CMD ["never"]', "VOLUME /data", "HEALTHCHECK CMD true", "USER root"]
    changes = [word for idea in ideas for word in ("--change", idea)]
    try:
        image = docker("commit", *changes, container)
    finally:
        docker("rm", container)
    yield image
    for container in engine.ours():
        engine.remove(container)
    docker("rmi", image)


def test_what_a_container_can_do(engine: Engine, spec: ContainerSpec, image_with_ideas: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dct-") as folder, socket.socket(socket.AF_UNIX) as listener:
        place = Path(folder)
        place.chmod(0o755)
        (place / "given").write_text("for you")
        listener.bind(str(place / "socket"))
        (place / "socket").chmod(0o666)
        listener.listen()
        listener.settimeout(60)
        given = replace(
            spec,
            image=image_with_ideas,
            command=("python3", "-c", LOOK),
            environment={"GREETING": "hello"},
            binds={place: "/in"},
            working_dir="/tmp",
        )
        container = started(engine, given)
        found = answer(listener)
    mounts = json.loads(docker("inspect", "--format", "{{json .Mounts}}", container))
    kinds = {mount["Destination"]: (mount["Type"], mount["RW"]) for mount in mounts}
    assert kinds == {"/in": ("bind", False), "/data": ("tmpfs", False), "/dev/mqueue": ("tmpfs", False)}, "no volume"
    assert (found["uid"], found["gid"], found["groups"]) in ((65534, 65534, []), (65534, 65534, [65534]))
    assert found["capabilities"] == [0] * 5
    assert found["no_new_privileges"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["writable"] == ["/tmp"]
    assert (found["stdin"], found["greeting"], found["given"]) == ("", "hello", "for you")
    assert (found["cwd"], found["files"], found["core"]) == ("/tmp", [1024, 1024], [0, 0])


def answer(listener: socket.socket) -> dict[str, Any]:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(60)
        content = b"".join(iter(lambda: connection.recv(65536), b""))
    found: dict[str, Any] = json.loads(content)
    return found


def test_limits_are_live_and_read_back(engine: Engine, spec: ContainerSpec) -> None:
    container = started(engine, spec)
    files = cgroup.cgroup_paths(engine.pid(container))
    for cpus, memory in ((0.5, 64), (1.5, 256), (0.25, 32), (2.0, 48)):
        engine.update(container, cpus, memory * MIB)
        reading = files.read()
        assert (reading.cpus_limit, reading.memory_limit) == (cpus, memory * MIB)
    engine.update(container, 0.5, 64 * MIB, "1", 256)
    reading = files.read()
    assert (reading.cpus_limit, reading.memory_limit, reading.cpuset) == (0.5, 64 * MIB, "1")
    assert reading.weight is not None and cpu_weight.same(reading.weight, 256) and reading.frozen is False
    engine.update(container, 0.5, 64 * MIB, cpu_list.written(cpu_list.online()), 4096)
    reading = files.read()
    assert reading.cpuset == cpu_list.written(cpu_list.online())
    assert reading.weight is not None and cpu_weight.same(reading.weight, 4096)
    engine.pause(container)
    assert files.read().frozen is True
    engine.unpause(container)
    assert reading.source == f"cgroup {engine.facts().cgroup}"
    assert reading.oom_kills == 0
    assert reading.cpu_seconds is not None
    assert reading.memory_used is not None
    assert 0 < reading.memory_used < 48 * MIB


def test_running_out_of_memory_is_counted(engine: Engine, spec: ContainerSpec) -> None:
    hog = "import subprocess, time\nsubprocess.run(['python3', '-c', 'b\"x\" * (1 << 30)'])\ntime.sleep(1000)"
    container = started(engine, replace(spec, command=("python3", "-c", hog)))
    files = cgroup.cgroup_paths(engine.pid(container))
    wait_until(lambda: (files.read().oom_kills or 0) > 0, 30)
    assert engine.running(container), "only the process over the limit was killed"


def test_pausing_killing_and_removing(engine: Engine, spec: ContainerSpec) -> None:
    container = engine.create(spec)
    assert engine.ours() == [container]
    assert not engine.running(container)
    with pytest.raises(EngineError, match="does not run"):
        engine.pid(container)
    engine.start(container)
    engine.pause(container)
    assert engine.running(container), "frozen is not ended"
    engine.unpause(container)
    engine.pause(container)
    engine.kill(container)
    wait_until(lambda: not engine.running(container), 30)
    engine.kill(container)
    with pytest.raises(EngineError, match="not running"):
        engine.pause(container)
    engine.remove(container)
    engine.remove(container)
    engine.kill(container)
    assert engine.ours() == []
    assert not engine.running(container)
    with pytest.raises(EngineError, match="no such container"):
        engine.pid(container)


def test_ours_are_those_of_this_instance(engine: Engine, spec: ContainerSpec) -> None:
    engine.create(spec)
    other = Engine(f"{engine.instance}x", HOST)
    assert other.ours() == []
    other.close()


def test_what_the_engine_refuses(engine: Engine, spec: ContainerSpec) -> None:
    engine.create(spec)
    with pytest.raises(EngineError, match="already in use"):
        engine.create(spec)
    with pytest.raises(ImageMissing, match="No such image"):
        engine.create(replace(spec, image="sha256:" + "0" * 64))
    with pytest.raises(EngineError, match="does not exist"):
        engine.create(replace(spec, name="", binds={Path("/nowhere/at/all"): "/in"}))


def test_a_program_that_is_not_in_the_image(engine: Engine, spec: ContainerSpec) -> None:
    with pytest.raises(EngineError, match="no such file"):
        started(engine, replace(spec, command=("/no/such/program",)))


def test_images_by_tag_and_id(engine: Engine) -> None:
    found, mine = image_id(engine), f"dockercomp-{engine.instance}/x"
    assert engine.image_id(found) == found
    assert engine.image_id(mine) is None
    assert engine.image_id("sha256:" + "0" * 64) is None
    engine.tag(IMAGE, mine, "one")
    assert engine.image_id(f"{mine}:one") == found
    engine.remove_image(f"{mine}:one")
    engine.remove_image(f"{mine}:one")
    assert engine.image_id(f"{mine}:one") is None
    assert engine.image_id(found) == found


def test_an_archive_that_is_none(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "image.tar").write_bytes(b"hello" * 1000)
    with pytest.raises(EngineError, match="could not load an image"):
        engine.load_image(tmp_path / "image.tar")


def test_docker_is_not_there(tmp_path: Path) -> None:
    engine = Engine("test", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(EngineUnavailable, match=r"not installed.*docker\.sock.*Install Docker"):
        engine.facts()


def test_docker_does_not_run(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="dct-") as folder:
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(f"{folder}/docker.sock")
        with pytest.raises(EngineUnavailable, match=r"not running.*Start it"):
            Engine("test", f"unix://{folder}/docker.sock").facts()


AS_NOBODY = """
import os, sys
from worker.engine import Engine, EngineUnavailable
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    Engine("test", sys.argv[1]).facts()
except EngineUnavailable as error:
    print(error)
"""


def test_no_permission_for_the_socket() -> None:
    with tempfile.TemporaryDirectory(prefix="dct-") as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        listener.bind(f"{folder}/docker.sock")
        Path(f"{folder}/docker.sock").chmod(0)
        listener.listen()
        command = [sys.executable, "-c", AS_NOBODY, f"unix://{folder}/docker.sock"]
        said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert "no permission for Docker's socket" in said.stdout
    assert "usermod -aG docker" in said.stdout


def test_an_engine_that_comes_back(engine: Engine, tmp_path: Path) -> None:
    real = docker_host.find(tmp_path).removeprefix("unix://")
    with tempfile.TemporaryDirectory(prefix="dct-") as folder:
        place = Path(folder, "docker.sock")
        moved = Engine(engine.instance, f"unix://{place}")
        with pytest.raises(EngineUnavailable):
            moved.ours()
        place.symlink_to(real)
        assert moved.ours() == []
        place.unlink()
        moved.close()
        with pytest.raises(EngineUnavailable):
            moved.ours()
        place.symlink_to(real)
        assert moved.ours() == []
        moved.close()
