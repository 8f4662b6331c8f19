"""DC_HOME: everything of ours on a machine, and the lock that keeps it to one instance."""

import fcntl
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import IO


class HomeInUseError(RuntimeError):
    """Another daemon of the same kind runs with this DC_HOME."""


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """$DC_HOME, else /var/lib/dockercomp as root, else ~/.local/share/dockercomp."""
    if environ.get("DC_HOME"):
        return Path(environ["DC_HOME"]).expanduser().resolve()
    if os.geteuid() == 0:
        return Path("/var/lib/dockercomp")
    return Path("~/.local/share/dockercomp").expanduser()


def instance_label(home: Path) -> str:
    """A short name of the instance at `home`, the same at every start: the label on its containers and images."""
    return hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def lock(home: Path, name: str) -> IO[str]:
    """Hold DC_HOME/run/<name>.lock while the returned file is open; it contains our process id.

    Raises HomeInUseError naming the process that holds it.
    """
    path = home / "run" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise HomeInUseError(
            f"a dockerComp {name} already runs with DC_HOME={home} (process {holder});"
            " stop it first, or give this one a DC_HOME of its own."
        ) from None
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file
