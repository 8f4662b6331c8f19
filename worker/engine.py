"""The Docker Engine: the only importer of docker. Every error that leaves here is an EngineError.

EngineError               the engine refused, or failed at, what was asked
├── EngineUnavailable     no engine answers: not installed, not running, not permitted, lost on the way
├── ImageMissing          the engine has no such image
└── ImageRefused          (worker/images.py) an image that is not the one that was ordered
"""

import http.client
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import urllib3
from docker.api.client import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Mount, Ulimit

from dockercomp.machine import docker_host
from dockercomp.machine.docker_objects import LABEL

from .access import LOCKED, Access
from .tasks import EngineFacts
from .unreachable import likely_address, why_unreachable

CPU_PERIOD = 100_000
"""Microseconds; a quota on it can be changed while a container runs, which nano_cpus cannot."""
SMALLEST_QUOTA = 1_000
"""Microseconds; less is refused by the kernel, and 0 silently ignored by the engine."""
SHARED_MEMORY = 16 * 2**20
"""Bytes of /dev/shm; counts towards the container's memory."""
_TIMEOUT = 120
_LOAD_TIMEOUT = 3600
_PING_TIMEOUT = 10
"""Seconds without a byte from the engine."""
_MOST_CALLS = 64
"""Connections kept for calls at the same time, one a slot and some."""
_SCRATCH = "/tmp"  # noqa: S108  (inside the container)
_COVERED = "/dev/mqueue"
"""The engine's own writable places that a container does not need: queues are counted for all containers together."""
_SYSTEM_CALLS = json.dumps(json.loads(Path(__file__).with_name("seccomp.json").read_text(encoding="utf-8")))
_FIRST_TO_GO = 500
"""Where the machine itself runs out of memory, containers go before what the volunteer runs."""
_BYTES_AN_INODE, _FEWEST_INODES = 2048, 16384
_LOST = (
    DockerException,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    http.client.HTTPException,
    OSError,
    ValueError,
)


class EngineError(RuntimeError):
    """The engine refused, or failed at, what was asked; the message says what, and its reason."""


class EngineUnavailable(EngineError):
    """No engine answers; the message says why and what to do. Worth trying again later."""


class ImageMissing(EngineError):
    """The engine has no such image."""


@dataclass(frozen=True)
class ContainerSpec:
    """A locked container. Sizes in bytes, CPUs in cores."""

    name: str
    image: str
    """The engine's own id of it."""
    command: tuple[str, ...]
    """All that runs: the image's entrypoint and command are ignored."""
    cpus: float
    memory_limit: int
    """Of the cgroup, scratch included; there is no swap beyond it."""
    scratch: int
    """Size of the tmpfs at /tmp, the only place that can be written to."""
    labels: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    binds: Mapping[Path, str] = field(default_factory=dict)
    """Host's file or folder to its place in the container; all read-only."""
    working_dir: str = "/"
    pids: int = 256
    cpuset: str = ""
    """The CPUs that it may use, as Linux lists them. Empty: any."""
    weight: int = 1024
    """Against other containers where CPU is short: cgroup v1's shares."""
    access: Access = LOCKED
    """What the volunteer consented to beyond that."""


class Engine:
    """One Docker Engine, connected to at the first call and again after it was lost. For any number of threads."""

    def __init__(self, instance: str, docker_host: str | None = "") -> None:
        """`instance` labels our containers; an empty `docker_host` is searched for as dockercomp.machine does."""
        self.instance = instance
        self._host = docker_host or ""
        self._address = self._host
        self._client: APIClient | None = None
        self._lock = threading.Lock()
        self.lost: float | None = None
        """Since when no engine answers, on the monotonic clock, as far as it was asked; None: it does."""

    # --- the engine ---

    @property
    def host(self) -> str:
        """Where it is spoken to, such as `unix:///run/docker.sock`."""
        return self._address

    def facts(self) -> EngineFacts:
        """What the engine says of itself. Raises EngineError, as every method here."""
        with self._speaking("ask the engine about itself") as client:
            info, version = client.info(), client.version()
        return EngineFacts(
            version=str(version["Version"]),
            platform=f"{version['Os']}/{version['Arch']}",
            cgroup=f"v{info.get('CgroupVersion') or 1}",
            rootless=any("name=rootless" in option for option in info.get("SecurityOptions") or ()),
            cpus=int(info["NCPU"]),
            memory=int(info["MemTotal"]),
            storage=str(info.get("Driver") or ""),
            warnings=tuple(info.get("Warnings") or ()),
            bridge_firewall=bool(info.get("BridgeNfIptables")) and "bridge" in _networks(client),
            limits=bool(info.get("MemoryLimit", True) and info.get("CpuCfsQuota", True)),
            pins=bool(info.get("CPUSet", True)),
        )

    def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    # --- images ---

    def image_id(self, reference: str) -> str | None:
        """The engine's own id of the image with that id or tag; None where it has none."""
        try:
            with self._speaking(f"look for the image {reference}") as client:
                return str(client.inspect_image(reference)["Id"])  # type: ignore[no-untyped-call]
        except ImageMissing:
            return None

    def load_image(self, path: Path) -> None:
        """Load a `docker save` archive. Tags in it are set, whomever they belonged to: see image_archive.retag."""
        with path.open("rb") as archive, self._speaking("load an image", _LOAD_TIMEOUT) as client:
            for line in client.load_image(archive, quiet=True):  # type: ignore[no-untyped-call]
                if "error" in line:
                    raise EngineError(f"could not load an image: {line['error']}")

    def tag(self, reference: str, repository: str, tag: str = "latest") -> None:
        """Give the image another name."""
        with self._speaking(f"tag the image {reference}") as client:
            client.tag(reference, repository, tag)

    def remove_image(self, reference: str) -> None:
        """Remove a tag, and the image with its last one; by id only where it has at most one tag. Missing is fine."""
        try:
            with self._speaking(f"remove the image {reference}") as client:
                client.remove_image(reference)
        except ImageMissing:
            pass

    # --- containers ---

    def create(self, spec: ContainerSpec) -> str:
        """Create a container, not started yet; its id. Raises ImageMissing."""
        labels = {**spec.labels, LABEL: self.instance}
        with self._speaking(f"create the container {spec.name}") as client:
            image = client.inspect_image(spec.image)  # type: ignore[no-untyped-call]
            volumes = (image["Config"] or {}).get("Volumes") or ()
            created = client.create_container(
                image=spec.image,
                name=spec.name,
                entrypoint=list(spec.command),
                command=[],
                hostname="dc",
                user=spec.access.user,
                environment=dict(spec.environment),
                labels=labels,
                working_dir=spec.working_dir,
                stop_signal="SIGKILL",  # process 1 knows no other
                stdin_open=False,
                tty=False,
                network_disabled=spec.access.network is None,
                healthcheck={"Test": ["NONE"]},
                host_config=_host_config(client, spec, _mounts(spec, volumes)),
            )
        return str(created["Id"])

    def start(self, container: str) -> None:
        """Start a created container."""
        with self._speaking("start a container") as client:
            client.start(container)

    def update(self, container: str, cpus: float, memory_limit: int, cpuset: str = "", weight: int = 1024) -> None:
        """Set all limits in one call while it runs. Lowering memory below what is in use may be refused, or kill.

        An empty `cpuset` leaves its pins as they are: an engine ignores it. To unpin, name all of the machine's CPUs.
        """
        with self._speaking("change a container's limits") as client:
            client.update_container(
                container,
                cpu_period=CPU_PERIOD,
                cpu_quota=_quota(cpus),
                cpu_shares=weight,
                cpuset_cpus=cpuset or None,
                mem_limit=memory_limit,
                memswap_limit=memory_limit,
            )

    def pause(self, container: str) -> None:
        """Freeze all of its processes."""
        with self._speaking("pause a container") as client:
            client.pause(container)

    def unpause(self, container: str) -> None:
        """Let a frozen container go on."""
        with self._speaking("let a container go on") as client:
            client.unpause(container)

    def kill(self, container: str) -> None:
        """End its processes at once, frozen or not. One that has ended, or is gone, is fine."""
        with self._speaking("kill a container") as client, _tolerating(404, 409):
            client.kill(container)

    def remove(self, container: str) -> None:
        """End and remove it with its volumes. One that is gone, or on its way, is fine."""
        try:
            self._remove(container)
        except EngineUnavailable:
            raise
        except EngineError:
            # It ended by itself just when the engine was about to kill it: the engine gives up, and may be asked again.
            if self.running(container):
                raise
            self._remove(container)

    def _remove(self, container: str) -> None:
        with self._speaking("remove a container") as client, _tolerating(404, 409):
            client.remove_container(container, v=True, force=True)

    def ours(self) -> list[str]:
        """The ids of this instance's containers, running or not."""
        with self._speaking("list containers") as client:
            found = client.containers(all=True, filters={"label": f"{LABEL}={self.instance}"})
        return [str(container["Id"]) for container in found]

    def written(self, container: str) -> int:
        """Bytes that a container has written over its image."""
        with self._speaking("measure a container") as client:
            found = client.containers(all=True, size=True, filters={"id": container})
        return int(found[0].get("SizeRw") or 0) if found else 0

    def pid(self, container: str) -> int:
        """The host's process id of its init. Raises EngineError where it does not run."""
        state = self._state(container)
        if not state.get("Running") or not state.get("Pid"):
            reason = state.get("Error") or f"exit code {state.get('ExitCode')}"
            raise EngineError(f"the container {container[:12]} does not run ({reason})")
        return int(state["Pid"])

    def address(self, container: str, network: str) -> str:
        """Its address in a network; `none` where it has none."""
        with self._speaking("inspect a container") as client:
            found = client.inspect_container(container)["NetworkSettings"]["Networks"].get(network) or {}
        return str(found.get("IPAddress") or "none")

    def running(self, container: str) -> bool:
        """Whether its processes are there, frozen ones too; False where there is no such container."""
        return bool(self._state(container).get("Running"))

    def ended_for_memory(self, container: str) -> bool:
        """Whether one that is ending, or was just killed, lost a process for want of memory, as the engine knows it."""
        with self._speaking("wait for a container's end") as client, _tolerating(404):
            client.wait(container, timeout=_PING_TIMEOUT)
        return bool(self._state(container).get("OOMKilled"))

    def _state(self, container: str) -> dict[str, Any]:
        with self._speaking("inspect a container") as client:
            try:
                state: dict[str, Any] = client.inspect_container(container)["State"]
            except NotFound:
                return {"Error": "there is no such container"}
            return state

    # --- networks ---

    def make_network(self, name: str, bridge: str) -> None:
        """A bridge of that name whose containers do not see each other, unless it is there. Raises EngineError, also
        where a network of that name is not ours."""
        with self._speaking("make a network") as client:
            for found in client.networks(names=[name]):
                if found["Name"] == name and (found.get("Labels") or {}).get(LABEL) == self.instance:
                    return
                if found["Name"] == name:
                    raise EngineError(f"there is a network {name} that is not of this worker")
            client.create_network(
                name,
                driver="bridge",
                options={
                    "com.docker.network.bridge.name": bridge,
                    "com.docker.network.bridge.enable_icc": "false",
                },
                labels={LABEL: self.instance},
                enable_ipv6=False,
                check_duplicate=True,
            )

    def remove_network(self, name: str) -> None:
        """Remove a network of ours. One that is gone is fine."""
        with self._speaking("remove a network") as client, _tolerating(404):
            client.remove_network(name)

    def cut_off(self, network: str) -> None:
        """Kill this instance's containers that are in a network."""
        with self._speaking("list containers") as client:
            where = {"label": f"{LABEL}={self.instance}", "network": network}
            found = client.containers(filters=where)
        for container in found:
            self.kill(str(container["Id"]))

    # --- the connection ---

    @contextmanager
    def _speaking(self, what: str, timeout: int = _TIMEOUT) -> Iterator[APIClient]:
        """A client to do `what` with. Turns every error of docker-py, requests and urllib3 into an EngineError."""
        try:
            if timeout == _TIMEOUT:
                yield self._connected()
            else:
                client = self._connect(timeout)
                try:
                    yield client
                finally:
                    client.close()
            self.lost = None
        except EngineError:
            raise
        except ImageNotFound as error:
            raise ImageMissing(f"could not {what}: {_explained(error)}") from error
        except APIError as error:
            missing = isinstance(error, NotFound) and "No such image" in _explained(error)
            raise (ImageMissing if missing else EngineError)(f"could not {what}: {_explained(error)}") from error
        except _LOST as error:
            self.close()
            self.lost = self.lost or time.monotonic()
            raise EngineUnavailable(why_unreachable(error, self._address)) from error

    def _connected(self) -> APIClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect(_TIMEOUT)
            return self._client

    def _connect(self, timeout: int) -> APIClient:
        self._address = self._host or likely_address()
        if self._address.startswith("unix://"):
            docker_host.ask(self._address, "GET", "/_ping", timeout=_PING_TIMEOUT)  # docker-py would leak its socket
        return APIClient(base_url=self._address, version="auto", timeout=timeout, max_pool_size=_MOST_CALLS)


def _host_config(client: APIClient, spec: ContainerSpec, mounts: list[Mount]) -> Any:
    """Locked: no network, no capabilities, few system calls, nothing to write to but a bounded tmpfs, no swap, few
    processes; `access` says what else. No process of the engine's is inside: the runner is process 1."""
    inodes = max(_FEWEST_INODES, spec.scratch // _BYTES_AN_INODE)
    return client.create_host_config(
        **spec.access.options(),
        security_opt=["no-new-privileges", f"seccomp={_SYSTEM_CALLS}"],
        tmpfs={_SCRATCH: f"rw,exec,nosuid,nodev,size={spec.scratch},nr_inodes={inodes},mode=1777"},
        mounts=mounts,
        init=False,
        ipc_mode="private",
        shm_size=SHARED_MEMORY,
        log_config=LogConfig(type="none"),
        restart_policy={"Name": "no"},
        oom_score_adj=_FIRST_TO_GO,
        pids_limit=spec.pids,
        ulimits=[Ulimit(name="core", soft=0, hard=0), Ulimit(name="nofile", soft=1024, hard=1024)],
        cpu_period=CPU_PERIOD,
        cpu_quota=_quota(spec.cpus),
        cpu_shares=spec.weight,
        cpuset_cpus=spec.cpuset or None,
        mem_limit=spec.memory_limit,
        memswap_limit=spec.memory_limit,
    )


def _networks(client: APIClient) -> set[str]:
    """Drivers of the engine's networks: without a bridge there is none of that driver."""
    return {str(found["Driver"]) for found in client.networks()}


def _mounts(spec: ContainerSpec, volumes: Iterable[str]) -> list[Mount]:
    """Our binds; and emptiness over the image's own volumes, which would else be writable places on the host's disk."""
    mounts = [Mount(place, str(path), type="bind", read_only=True) for path, place in spec.binds.items()]
    taken = {_SCRATCH, *spec.binds.values()}
    covered = [place for place in (_COVERED, *volumes) if place.rstrip("/") not in taken]
    return mounts + [Mount(place, None, type="tmpfs", read_only=True, tmpfs_size=4096) for place in covered]


def _quota(cpus: float) -> int:
    return max(SMALLEST_QUOTA, round(cpus * CPU_PERIOD))


@contextmanager
def _tolerating(*statuses: int) -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if error.status_code not in statuses:
            raise


def _explained(error: APIError) -> str:
    return str(error.explanation or error)
