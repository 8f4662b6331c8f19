"""What of ours a container finds mounted read-only under /dc, and the host's folders behind it."""

import hashlib
import os
import shutil
import threading
from pathlib import Path

from .placement import INPUT_FOLDER
from .runner import build as runner
from .tasks import Size
from .width import width_of

MOUNTED = "/dc"
ALLOCATION = f"{MOUNTED}/allocation/now"
LIBRARY = f"{MOUNTED}/lib"
_INSIDE = Path(__file__).with_name("inside")
HELPERS = ("dockercomp_chunk.py", "dockercomp_pool.py", "dockercomp.h")
"""What programs may import or include, found in LIBRARY."""


class SlotFolders:
    """A slot's own folders: its chunk's input, and what it is allocated."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.input = root / "in"
        self._changes = 0
        self._writing = threading.Lock()

    def make(self, size: Size) -> None:
        """Raises OSError."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.input, self.root / "allocation"):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        self.write_allocation(size)

    def write_allocation(self, size: Size) -> None:
        """What a program reads of its allocation: replaced whole, so that no reader finds half of it. The format stands
        in docs/programs.md. May be called from any thread. Raises OSError."""
        now = self.root / "allocation" / "now"
        made = now.with_suffix(".new")
        with self._writing:
            self._changes += 1
            made.write_text(allocation_text(size, self._changes))
            made.chmod(0o644)
            made.replace(now)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def binds(self) -> dict[Path, str]:
        return {self.input: INPUT_FOLDER, self.root / "allocation": f"{MOUNTED}/allocation"}


def allocation_text(size: Size, change: int) -> str:
    """The file of an allocation. Readers pass over words that they do not know, so more may be added at its end."""
    lines = [
        "dockercomp-allocation 1",
        f"change {change}",
        f"cpus {size.cpus:g}",
        f"memory {size.memory}",
        f"width {width_of(size)}",
        *([f"cpuset {size.cpuset}"] if size.cpuset else []),
    ]
    return "\n".join(lines) + "\n"


def programs_of_ours(home: Path, platform: str) -> dict[Path, str]:
    """The runner, the function host and the helpers, copied to where every container's user may read them.

    Raises OSError, RunnerMissingError."""
    folder = home / "worker" / "runner"
    folder.mkdir(parents=True, exist_ok=True)
    sources = {
        "runner": runner.find(platform.rsplit("/", maxsplit=1)[-1]),
        "function_host.py": Path(runner.__file__).with_name("function_host.py"),
        **{f"lib/{name}": _INSIDE / name for name in HELPERS},
    }
    binds: dict[Path, str] = {}
    for place, source in sources.items():
        data, name = source.read_bytes(), Path(place).name
        target = folder / f"{hashlib.sha256(data).hexdigest()[:12]}-{name}"
        if not target.exists() or target.read_bytes() != data:  # the power may have failed before it was on disk
            made = folder / f".{os.getpid()}-{threading.get_ident()}-{name}"
            made.write_bytes(data)
            made.chmod(0o755)
            made.replace(target)
        binds[target] = f"{MOUNTED}/{place}"
    return binds
