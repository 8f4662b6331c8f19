"""What of ours a container finds mounted read-only under /dc, and the host's folders behind it."""

import hashlib
import os
import shutil
import threading
from pathlib import Path

from .placement import INPUT_FOLDER
from .runner import build as runner
from .tasks import Size

MOUNTED = "/dc"
ALLOCATION = f"{MOUNTED}/allocation/now"
LIBRARY = f"{MOUNTED}/lib"
_INSIDE = Path(__file__).with_name("inside") / "dockercomp_chunk.py"


class SlotFolders:
    """A slot's own folders: its chunk's input, and what it is allocated."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.input = root / "in"
        self._changes = 0

    def make(self, size: Size) -> None:
        """Raises OSError."""
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.input, self.root / "allocation"):
            folder.mkdir(parents=True)
            folder.chmod(0o755)
        self.write_allocation(size)

    def write_allocation(self, size: Size) -> None:
        """What a program reads of its allocation: replaced whole. The format stands in inside/dockercomp_chunk.py."""
        self._changes += 1
        now = self.root / "allocation" / "now"
        made = now.with_suffix(".new")
        made.write_text(f"dockercomp-allocation 1\nchange {self._changes}\ncpus {size.cpus:g}\nmemory {size.memory}\n")
        made.chmod(0o644)
        made.replace(now)

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    def binds(self) -> dict[Path, str]:
        return {self.input: INPUT_FOLDER, self.root / "allocation": f"{MOUNTED}/allocation"}


def programs_of_ours(home: Path, platform: str) -> dict[Path, str]:
    """The runner, the function host and the helper, copied to where every container's user may read them.

    Raises OSError, RunnerMissingError."""
    folder = home / "worker" / "runner"
    folder.mkdir(parents=True, exist_ok=True)
    sources = {
        "runner": runner.find(platform.rsplit("/", maxsplit=1)[-1]),
        "function_host.py": Path(runner.__file__).with_name("function_host.py"),
        f"lib/{_INSIDE.name}": _INSIDE,
    }
    binds: dict[Path, str] = {}
    for place, source in sources.items():
        data, name = source.read_bytes(), Path(place).name
        target = folder / f"{hashlib.sha256(data).hexdigest()[:12]}-{name}"
        if not target.exists():
            made = folder / f".{os.getpid()}-{threading.get_ident()}-{name}"
            made.write_bytes(data)
            made.chmod(0o755)
            made.replace(target)
        binds[target] = f"{MOUNTED}/{place}"
    return binds
