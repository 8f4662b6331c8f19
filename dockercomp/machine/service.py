"""Keeping an installed worker running: a systemd unit where systemd runs, else the supervisor `worker`.

`python -m dockercomp.machine.service start|wait|engine`, with DC_HOME in the environment. `engine` starts the
Docker Engine of a rootless instance.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import manifest, private_engine, supervisor
from .home import default_home, instance_label, write_private
from .programs import Program

SUPERVISOR = "worker"
KEPT = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")  # fmt: skip
"""Variables of the installing shell that the worker needs as well, to get out of this network."""
_NEEDS_A_PERSON = "76 77 78"
_REGISTERED_S = 90.0
_RESTARTS = 3
"""A worker that ended so often while it was to register will not."""
_POLL_S = 0.2


class ServiceError(RuntimeError):
    """The worker could not be started or has not registered; the message says why."""


def start(home: Path, environ: Mapping[str, str] = os.environ) -> None:
    """Start the worker, or bring the one that runs up to date. Raises ServiceError, SupervisorError."""
    kept = {key: environ[key] for key in KEPT if environ.get(key)}
    unit = _unit_path(home)
    if unit is None:
        _start_supervised(home, kept)
    else:
        _start_unit(home, unit, kept)


def engine(home: Path) -> None:
    """Start the instance's own Docker Engine and wait until it answers. Raises ServiceError, SupervisorError."""
    unit = _unit_path(home, "engine")
    if unit is None:
        private_engine.start(home)
        return
    private_engine.prepare(home)
    text = _ENGINE_UNIT.format(home=home, python=home / "env" / "bin" / "python", target=_target())
    _enable(home, unit, text, restart=False)
    private_engine.wait(home)


def wait(home: Path, timeout: float = _REGISTERED_S) -> None:
    """Wait until the master knows the worker. Raises ServiceError if it gives up, or after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not _registered(home):
        if time.monotonic() >= deadline:
            raise ServiceError(f"the worker has not reached the master within {timeout:g} s: {_sentence(home)}")
        time.sleep(_POLL_S)


def _registered(home: Path) -> bool:
    if not _kept_running(home):
        raise ServiceError(f"the worker ended: {_sentence(home)}")
    told = _told(home)
    its_own = told.get("pid") == supervisor.holder(home, "worker")
    return bool(its_own and told.get("client") and told.get("last_sync") and told.get("state") != "offline")


def _told(home: Path) -> dict[str, Any]:
    """The worker's own status file."""
    try:
        told: dict[str, Any] = json.loads((home / "worker" / "status.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return told


def _sentence(home: Path) -> str:
    if _told(home).get("sentence"):
        return str(_told(home)["sentence"])
    output = _output(home)
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines() if output.exists() else []
    return lines[-1] if lines else f"see {home / 'log' / 'worker.log'}"


def _output(home: Path) -> Path:
    """What a supervised worker prints besides its own log."""
    return home / "log" / "worker.out.log"


def _kept_running(home: Path) -> bool:
    unit = _unit_path(home)
    if unit is not None:
        return _systemctl(_scope(), "is-active", unit.name).stdout.strip() in ("active", "activating")
    found = supervisor.status(home, SUPERVISOR)
    program = found.programs["worker"] if found else None
    return program is not None and program.state in ("running", "backoff") and program.restarts < _RESTARTS


def _revision(home: Path) -> str:
    """Which worker is installed: another one means to start the running one again."""
    stamp = home / "env" / ".stamp"
    return stamp.read_text(encoding="utf-8").strip() if stamp.exists() else ""


# --- the supervisor ----------------------------------------------------------------------------------------------


def _start_supervised(home: Path, kept: Mapping[str, str]) -> None:
    worker = Program(
        name="worker",
        argv=(str(home / "env" / "bin" / "dockercomp-worker"), "run"),
        env={"DC_HOME": str(home), "DC_INSTALLED": _revision(home), **kept},
        log=str(_output(home)),
        stop_timeout_s=60.0,
        restart="on failure",
    )
    if supervisor.status(home, SUPERVISOR) is not None:
        supervisor.reload(home, SUPERVISOR, [worker])
    else:
        supervisor.start(home, SUPERVISOR, [worker])


# --- systemd -----------------------------------------------------------------------------------------------------

_UNIT = """# {revision}
[Unit]
Description=dockerComp worker ({home})
After=network-online.target docker.service
Wants=network-online.target

[Service]
ExecStart={program} run
Environment=DC_HOME={home}
EnvironmentFile=-{home}/environment
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={final}
TimeoutStopSec=60

[Install]
WantedBy={target}
"""


_ENGINE_UNIT = """[Unit]
Description=dockerComp's own Docker Engine, rootless ({home})

[Service]
ExecStart={python} -m dockercomp.machine.private_engine run
Environment=DC_HOME={home}
Delegate=yes
Restart=always
RestartSec=5
KillMode=mixed
TasksMax=infinity

[Install]
WantedBy={target}
"""
"""Delegate: with cgroup v2 it is what makes limits hold."""


def _target() -> str:
    return "default.target" if _scope() else "multi-user.target"


def _unit_path(home: Path, of: str = "worker") -> Path | None:
    """Where a unit of this instance stands; None where systemd does not run for this user."""
    if not Path("/run/systemd/system").is_dir():
        return None
    name = f"dockercomp-{of}-{instance_label(home)}.service"
    if os.geteuid() == 0:
        return Path("/etc/systemd/system") / name
    if _systemctl(_scope(), "show-environment").returncode:
        return None
    return Path("~/.config/systemd/user").expanduser() / name


def _start_unit(home: Path, unit: Path, kept: Mapping[str, str]) -> None:
    text = _UNIT.format(
        revision=_revision(home),
        home=home,
        program=home / "env" / "bin" / "dockercomp-worker",
        target=_target(),
        final=_NEEDS_A_PERSON,
    )
    environment = "".join(f"{key}={shlex.quote(value)}\n" for key, value in kept.items())
    _enable(home, unit, text, restart=_replace(home / "environment", environment, 0o600))


def _enable(home: Path, unit: Path, text: str, *, restart: bool) -> None:
    """Write a unit and start it; one that runs is restarted if its text changed too. Raises ServiceError."""
    for folder in reversed([path for path in unit.parents if not path.exists()]):
        manifest.record(home, "directory", str(folder))
        folder.mkdir()
    manifest.record(home, "service", str(unit), existed=unit.exists())
    changed = _replace(unit, text, 0o644) or restart
    for words in (["daemon-reload"], ["enable", unit.name], ["restart" if changed else "start", unit.name]):
        done = _systemctl(_scope(), *words)
        if done.returncode:
            raise ServiceError(f"systemctl {' '.join([*_scope(), *words])}: {done.stderr.strip()}")


def _replace(path: Path, text: str, mode: int) -> bool:
    """Write a file whole unless it says this already; True if it was written."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_private(path, text.encode())
    path.chmod(mode)
    return True


def _scope() -> list[str]:
    return [] if os.geteuid() == 0 else ["--user"]


def _systemctl(scope: list[str], *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["systemctl", *scope, *words], capture_output=True, text=True, check=False)


def main(argv: list[str]) -> int:
    """`start`, `wait`, `engine`. Exit codes: 0, 1 with the reason, 2 wrong usage."""
    verbs: dict[str, Callable[[Path], None]] = {"start": start, "wait": wait, "engine": engine}
    if len(argv) != 1 or argv[0] not in verbs:
        print("usage: service start|wait|engine", file=sys.stderr)
        return 2
    try:
        verbs[argv[0]](default_home())
    except (ServiceError, supervisor.SupervisorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
