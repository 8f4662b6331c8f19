"""A Docker Engine of an instance's own, for machines where none runs and systemd is not there to start one.

dockerd keeps everything under DC_HOME, makes no network and no firewall rule, and is kept running by the supervisor
`engine`. As an ordinary user it runs rootless (rootless.py).
`python -m dockercomp.machine.private_engine start|stop|run`.
"""

import http.client
import os
import shutil
import sys
import time
from pathlib import Path

from . import manifest, rootless, supervisor
from .docker_host import ask, private_socket
from .home import default_home, instance_label
from .programs import Program

SUPERVISOR = "engine"
_LEFT_OUTSIDE: tuple[tuple[manifest.Kind, str], ...] = (
    ("directory", "/etc/docker"),
    ("file", "/etc/docker/key.json"),
    ("directory", "/opt/containerd"),
    ("directory", "/opt/containerd/bin"),
    ("directory", "/opt/containerd/lib"),
    ("directory", "/run/containerd"),
    ("directory", "/run/containerd/s"),
    ("directory", "/run/docker"),
    ("directory", "/run/docker/plugins"),
)
"""What dockerd and containerd make outside of the folders they are told: removed later, folders if they are empty."""
_SOCKET_PATH_LIMIT = 107
_POLL_S = 0.05


def address(home: Path) -> str:
    return f"unix://{private_socket(home)}"


def start(home: Path, timeout: float = 180.0) -> str:
    """Start it unless it runs; returns its address once it answers, which may take a minute on a busy machine.

    Raises supervisor.SupervisorError with the end of its log if it does not answer within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    if supervisor.status(home, SUPERVISOR) is None:
        program = prepare(home)
        supervisor.start(home, SUPERVISOR, [program], timeout)
    try:
        return wait(home, deadline - time.monotonic())
    except supervisor.SupervisorError:
        supervisor.stop(home, SUPERVISOR)
        raise


def wait(home: Path, timeout: float = 180.0) -> str:
    """Its address, once it answers. Raises supervisor.SupervisorError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not _answers(home):
        if time.monotonic() >= deadline:
            raise supervisor.SupervisorError(f"Docker did not start within {timeout:g} s:\n{_tail(home)}")
        time.sleep(_POLL_S)
    return address(home)


def prepare(home: Path) -> Program:
    """Make the way free for it; how it is run. Raises supervisor.SupervisorError where it cannot."""
    if len(str(private_socket(home))) > _SOCKET_PATH_LIMIT:
        raise supervisor.SupervisorError(f"the path of DC_HOME={home} is too long for a socket inside it")
    try:
        before = rootless.prefix(home) if os.geteuid() else _as_root(home)
    except rootless.MissingError as error:
        raise supervisor.SupervisorError(str(error)) from error
    _forget_dead(home / "run" / "dockerd.pid", "dockerd")
    _forget_dead(home / "run" / "dockerd" / "containerd" / "containerd.pid", "containerd")
    return _program(home, before)


def _as_root(home: Path) -> tuple[str, ...]:
    for kind, name in _LEFT_OUTSIDE:
        manifest.record(home, kind, name, existed=Path(name).exists())
    return _root_as_a_mount(home / "run")


def stop(home: Path, timeout: float = 60.0) -> bool:
    """Stop it and its containers; True once it is gone."""
    return supervisor.stop(home, SUPERVISOR, timeout)


def _program(home: Path, before: tuple[str, ...]) -> Program:
    """`before` stands before dockerd's own command."""
    run = home / "run"
    namespace = f"dockercomp-{instance_label(home)}"
    return Program(
        name="dockerd",
        argv=(
            *before,
            shutil.which("dockerd") or "/usr/sbin/dockerd",
            f"--host={address(home)}",
            f"--data-root={home / 'docker'}",
            f"--exec-root={run / 'dockerd'}",
            f"--pidfile={run / 'dockerd.pid'}",
            "--bridge=none",
            "--iptables=false",
            "--ip-forward=false",
            f"--containerd-namespace={namespace}",
            f"--containerd-plugins-namespace={namespace}-plugins",
        ),
        env=rootless.environment(home) if os.geteuid() else {},
        log=str(_log(home)),
    )


def _root_as_a_mount(run: Path) -> tuple[str, ...]:
    """What goes before dockerd's command in a plain chroot: containers need a / that is a mount, so give it one."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    if any(line.split()[4] == "/" for line in lines):
        return ()
    script = 'mkdir -p "$0" && mount --rbind / "$0" && mount --make-rprivate "$0" && exec chroot "$0" "$@"'
    return ("unshare", "--mount", "--propagation", "unchanged", "sh", "-c", script, str(run / "root"))


def _forget_dead(pidfile: Path, program: str) -> None:
    """Remove what a killed engine left, else the next one waits for a process that is someone else's by now."""
    try:
        running = Path(f"/proc/{int(pidfile.read_text())}/comm").read_text().strip()
    except (OSError, ValueError):
        running = ""
    if running != program:
        pidfile.unlink(missing_ok=True)


def _answers(home: Path) -> bool:
    try:
        ask(address(home), "GET", "/_ping", timeout=5)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return True


def _log(home: Path) -> Path:
    return home / "log" / "dockerd.log"


def _tail(home: Path) -> str:
    log = _log(home)
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:]) if log.exists() else ""


def main(argv: list[str]) -> int:
    """`start` prints the address; `run` becomes the engine. Exit codes: 0, 1 with the reason."""
    home = default_home()
    try:
        if argv == ["start"]:
            print(start(home))
        elif argv == ["stop"]:
            return 0 if stop(home) else 1
        elif argv == ["run"]:
            program = prepare(home)
            os.execvpe(program.argv[0], program.argv, {**os.environ, **program.env})  # noqa: S606
        else:
            print("usage: private_engine start|stop|run", file=sys.stderr)
            return 2
    except (supervisor.SupervisorError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main(sys.argv[1:]))
