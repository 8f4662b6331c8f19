"""Taking everything of one instance back: exactly what its label and its manifest name, and DC_HOME itself.

Standard library only, and safe to repeat: `cleanup`, `installer.sh --uninstall` and `dockercomp-worker uninstall` all
come here. Packages of the system's manager stay and are listed, unless asked for. Whatever cannot be taken back now
(an engine that does not answer) keeps DC_HOME with its manifest, so that the next run can.
"""

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import firewall_rules, goodbye, manifest, private_engine, rootless, supervisor
from .configuration import ConfigurationError, read
from .docker_host import candidates, private_socket
from .docker_objects import remove_objects
from .home import instance_label
from .manifest import Entry
from .programs import lock_name

MARKER = ".dockercomp"
MOUNT_SOURCE = "dockercomp"
"""The source of the mounts that setup.sh makes: a mount of another source at the same place is not ours any more."""
_STOP_S = 90.0
_POLL_S = 0.05


class NotOursError(RuntimeError):
    """This folder is not an instance's DC_HOME; nothing was touched."""


@dataclass
class Removal:
    """One run over one DC_HOME. With `dry_run` it only says what it would do."""

    home: Path
    say: Callable[[str], None]
    dry_run: bool = False
    problems: list[str] = field(default_factory=list)

    def run(self) -> list[Entry]:
        """Take the instance back; returns the packages that it installed. Raises NotOursError. See `problems`."""
        check(self.home)
        return self._take_back()

    def _take_back(self) -> list[Entry]:
        self.nested()
        entries = manifest.entries(self.home)
        self._services([Path(entry.name) for entry in entries if entry.kind == "service" and not entry.existed])
        self._programs()
        self._do("tell the master that this client has gone", goodbye.is_due(self.home), lambda: goodbye.say(self.home))
        self._engines([entry.name for entry in entries if entry.kind == "image" and not entry.existed])
        bridge = firewall_rules.bridge_of(instance_label(self.home))
        self._do("remove its firewall rules", _has_rules(bridge), lambda: firewall_rules.remove(bridge))
        self._do(
            "stop its own Docker Engine", supervisor.status(self.home, private_engine.SUPERVISOR), self._stop_engine
        )
        self._mounts([entry.name for entry in reversed(entries) if entry.kind == "mount" and not entry.existed])
        if not self.problems:
            self._outside(entries)
            self._do(f"remove {self.home}", self.home.exists(), self._remove_home)
            for entry in reversed(entries):
                if entry.kind == "directory" and not entry.existed:
                    self._empty_folder(Path(entry.name))
        return [entry for entry in entries if entry.kind == "package" and not entry.existed]

    def nested(self) -> None:
        """Only the instances inside this one: the demo's workers, kept running by its supervisor `demo`."""
        homes = sorted(path for path in self.home.glob("demo/worker-*") if path.is_dir())
        if homes:
            self._do(
                "stop demo", supervisor.holder(self.home, lock_name("demo")), lambda: self._stop(lock_name("demo"))
            )
        for home in homes:
            inner = Removal(home, self.say, self.dry_run)
            inner._take_back()
            self.problems += inner.problems

    def _do(self, what: str, there: object, act: Callable[[], object]) -> None:
        if not there:
            return
        self.say(("would " if self.dry_run else "") + what)
        if self.dry_run:
            return
        try:
            act()
        except (OSError, subprocess.SubprocessError) as error:
            self.problems.append(f"could not {what}: {error}")

    # --- what runs ---

    def _services(self, units: list[Path]) -> None:
        for unit in units:
            self._do(f"stop and remove the service {unit.name}", unit.exists(), lambda unit=unit: _drop_service(unit))  # type: ignore[misc]

    def _programs(self) -> None:
        """Supervisors with their programs, then daemons without one; our own engine is needed for a while yet."""
        engine = lock_name(private_engine.SUPERVISOR)
        names = sorted(path.stem for path in (self.home / "run").glob("*.lock") if path.stem != engine)
        for name in sorted(names, key=lambda name: not name.endswith(".supervisor")):
            held = supervisor.holder(self.home, name)
            self._do(f"stop {name.removesuffix('.supervisor')}", held, lambda name=name: self._stop(name))  # type: ignore[misc]

    def _stop(self, name: str) -> None:
        deadline = time.monotonic() + _STOP_S
        while (process := supervisor.holder(self.home, name)) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL)
            _wait(lambda: supervisor.holder(self.home, name) is None, deadline)

    def _stop_engine(self) -> None:
        if not private_engine.stop(self.home):
            raise OSError(f"it did not stop; its log is {self.home / 'log' / 'dockerd.log'}")

    # --- what the engines hold ---

    def _engines(self, recorded: list[str]) -> None:
        """Containers, volumes and images in every engine that this instance may have used."""
        label, reasons = instance_label(self.home), []
        answered = False
        for address in _addresses(self.home):
            try:
                remove_objects(address, label, recorded, self._do)
            except (OSError, http.client.HTTPException, ValueError) as error:
                reasons.append(f"{address}: {error}")
            else:
                answered = True
        own = (self.home / "docker").exists()  # its containers ended with it, its images go with its folder
        if not answered and not own and (self.home / "worker" / "images.json").exists():
            self.problems.append(
                "no Docker Engine answers, so this instance's containers and images cannot be removed: start it (or set"
                f" DC_DOCKER_HOST) and run this again ({'; '.join(reasons)})"
            )

    # --- files ---

    def _mounts(self, places: list[str]) -> None:
        ours = {place for place, source in _mounted() if source == MOUNT_SOURCE}
        for place in places:
            self._do(f"unmount {place}", place in ours, lambda place=place: _unmount(place))  # type: ignore[misc]

    def _outside(self, entries: list[Entry]) -> None:
        for entry in reversed(entries):
            path = Path(entry.name)
            if entry.kind == "file" and not entry.existed:
                self._do(f"remove {path}", os.path.lexists(path), path.unlink)
            elif entry.kind == "tree" and not entry.existed:
                self._do(f"remove {path}", path.is_dir(), lambda path=path: shutil.rmtree(path))  # type: ignore[misc]

    def _remove_home(self) -> None:
        for place, _ in reversed(_mounted()):
            if Path(place).is_relative_to(self.home):
                _unmount(place)
        last = {MARKER, "run", manifest.path_of(self.home).name}
        inside = sorted(self.home.iterdir(), key=lambda path: (path.name in last, path.name == MARKER))
        for path in inside:
            _remove(path)
        self.home.rmdir()

    def _empty_folder(self, path: Path) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            self._do(f"remove {path}", path.is_dir() and not any(path.iterdir()), path.rmdir)


def check(home: Path) -> None:
    """Raises NotOursError unless `home` is marked as ours and nothing that a person or the system lives in."""
    kept = {Path("/"), Path.home(), *Path.home().parents}
    if home in kept or len(home.parts) < 3:
        raise NotOursError(f"DC_HOME={home} is not a folder that could be removed")
    if not (home / MARKER).is_file():
        raise NotOursError(f"DC_HOME={home} was not made by dockerComp (it has no {MARKER}); nothing was touched")


def remove_packages(packages: list[str]) -> str:
    """Purge them unless something else has come to need one; returns what could not be removed and why, or ''."""
    if shutil.which("apt-get") is None:
        return f"remove them with this system's package manager: {' '.join(packages)}"
    said = subprocess.run(["apt-get", "-s", "purge", *packages], capture_output=True, text=True, check=False)
    going = {line.split()[1] for line in said.stdout.splitlines() if line.startswith("Purg ")}
    foreign = sorted(going - set(packages))
    if said.returncode or foreign:
        return f"not removed, because {', '.join(foreign) or said.stderr.strip()} would go with them"
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-y", "purge", *packages], capture_output=True, text=True, check=False, env=environ
    )
    return done.stderr.strip() if done.returncode else ""


def _addresses(home: Path) -> list[str]:
    environ = dict(os.environ)
    with contextlib.suppress(ConfigurationError):
        environ.update(read(home / "configuration"))
    others = [] if environ.get("DC_ROOTLESS") == "yes" else candidates(home, {})
    found = [*candidates(home, environ), *others, f"unix://{private_socket(home)}"]
    return list({os.path.realpath(address.removeprefix("unix://")): address for address in found}.values())


def _has_rules(bridge: str) -> bool:
    return firewall_rules.is_there(firewall_rules.chain(bridge))


def _drop_service(unit: Path) -> None:
    scope = ["--user"] if "systemd/user" in str(unit) else []
    subprocess.run(["systemctl", *scope, "disable", "--now", unit.name], check=False, capture_output=True)
    unit.unlink()
    subprocess.run(["systemctl", *scope, "daemon-reload"], check=False, capture_output=True)


def _mounted() -> list[tuple[str, str]]:
    """Mount points with their sources, in the order they were mounted; none where the kernel does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [(_unescape(line.split()[4]), line.split(" - ")[1].split()[1]) for line in lines]


def _remove(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    elif path.name == "docker" and os.geteuid() != 0:
        rootless.remove_tree(path)
    else:
        shutil.rmtree(path)


def _unescape(place: str) -> str:
    return place.encode().decode("unicode_escape").encode("latin-1").decode()


def _unmount(place: str) -> None:
    done = subprocess.run(["umount", place], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(done.stderr.strip())


def _wait(done: Callable[[], bool], deadline: float) -> None:
    while not done() and time.monotonic() < deadline:
        time.sleep(_POLL_S)
