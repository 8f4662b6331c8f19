"""A Docker Engine of an ordinary user: dockerd in a user namespace of its own, by rootlesskit. No root is needed.

It stays in the host's network namespace: it makes no networks, pulls nothing itself, and its containers have none.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = {"rootlesskit": "rootlesskit", "newuidmap": "uidmap", "newgidmap": "uidmap", "dockerd": "docker.io"}
"""What it takes, and Debian's packages that have it."""
_LEAST_IDS = 65536
_PLACES = "/usr/sbin:/sbin"
"""Where dockerd and what it calls may lie, which an ordinary user's PATH leaves out."""
_INSIDE = 'rm -f /run/docker /run/containerd /run/xtables.lock; exec "$0" "$@"'
"""In the namespace /run is a copy: what is root's there goes, and the engine makes its own."""


class MissingError(RuntimeError):
    """Something that rootless Docker needs is not here; the message says what and how an admin gives it."""


def prefix(home: Path) -> tuple[str, ...]:
    """What goes before dockerd's command. Raises MissingError."""
    check()
    (home / "run" / "xdg").mkdir(mode=0o700, parents=True, exist_ok=True)
    return (
        _found("rootlesskit"),
        f"--state-dir={home / 'run' / 'rootlesskit'}",
        "--net=host",
        "--copy-up=/etc",
        "--copy-up=/run",
        "--propagation=rslave",
        "sh",
        "-c",
        _INSIDE,
    )


def environment(home: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What the engine needs: its programs, and a folder for what lasts as long as it runs."""
    given = environ.get("XDG_RUNTIME_DIR", "")
    own = bool(given) and Path(given).is_dir() and Path(given).stat().st_uid == os.geteuid()
    return {
        "PATH": f"{environ.get('PATH', '/usr/bin:/bin')}:{_PLACES}",
        "XDG_RUNTIME_DIR": given if own else str(home / "run" / "xdg"),
    }


def check() -> None:
    """Raises MissingError."""
    missing = sorted({package for program, package in PROGRAMS.items() if not _found(program)})
    if missing:
        raise MissingError(
            f"rootless Docker needs {', '.join(missing)}: ask an admin for"
            f" `apt-get install --no-install-recommends {' '.join(missing)}` (or this system's way)"
        )
    user = pwd.getpwuid(os.geteuid()).pw_name
    for file in ("/etc/subuid", "/etc/subgid"):
        if _ids(Path(file), user) < _LEAST_IDS:
            raise MissingError(
                f"rootless Docker needs {_LEAST_IDS} ids for {user} in {file}: ask an admin for"
                f" `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}` (a range nobody else has)"
            )


def remove_tree(folder: Path) -> None:
    """Remove what an engine left, also the files of ids that are ours only inside its namespace. Raises OSError."""
    command = [_found("rootlesskit") or "rootlesskit", "--net=host", "rm", "-rf", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if folder.exists():
        raise OSError(f"{folder} could not be removed: {done.stderr.strip()[-300:]}")


def _found(program: str) -> str:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PLACES}") or ""


def _ids(file: Path, user: str) -> int:
    """How many ids of others the user may take on."""
    try:
        lines = [line.split(":") for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return 0
    names = (user, str(os.geteuid()))
    return sum(int(line[2]) for line in lines if len(line) == 3 and line[0] in names and line[2].isdigit())
