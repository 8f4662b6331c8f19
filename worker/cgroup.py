"""What a process's control group says of its limits and use, versions 1 and 2. Parsing first, then the reading."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import cpu_list, cpu_weight
from .tasks import Reading

_UNLIMITED = 2**62
"""cgroup v1 writes no limit as a number near 2^63."""
_NANOSECONDS, _MICROSECONDS = 1e9, 1e6


@dataclass(frozen=True)
class Mount:
    """One mounted hierarchy. `controllers` is empty for v2; `root` is the group that is seen at `place`."""

    version: int
    controllers: frozenset[str]
    root: str
    place: str


def parse_mounts(mountinfo: str) -> list[Mount]:
    """The control group hierarchies in the text of /proc/<pid>/mountinfo."""
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if len(fields) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        version = 2 if kind[0] == "cgroup2" else 1
        controllers = frozenset(kind[2].split(",")) if version == 1 else frozenset[str]()
        found.append(Mount(version, controllers, _unescape(fields[3]), _unescape(fields[4])))
    return found


def parse_membership(text: str) -> dict[str, str]:
    """The group of each v1 controller, and of v2 under "", in the text of /proc/<pid>/cgroup."""
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found.update(dict.fromkeys(controllers.split(","), path))
    return found


def folder(mounts: list[Mount], membership: dict[str, str], controller: str) -> PurePosixPath | None:
    """Where the group of a v1 controller ("" for v2) can be read; None where no mount shows it."""
    path = membership.get(controller)
    if path is None:
        return None
    for mount in mounts:
        if (mount.version == 2) != (controller == "") or (controller and controller not in mount.controllers):
            continue
        try:
            below = PurePosixPath(path).relative_to(mount.root)
        except ValueError:
            continue
        if ".." not in below.parts:
            return PurePosixPath(mount.place) / below
    return None


def number(text: str | None) -> int | None:
    """A file of one number; None for `max`, unlimited, negative or no number."""
    word = (text or "").strip()
    return int(word) if word.isdigit() and int(word) < _UNLIMITED else None


def field(text: str | None, name: str) -> int | None:
    """The number beside `name` in a file of lines `name number`."""
    for line in (text or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return number(value)
    return None


def cpu_share(quota: str | None, period: str | None) -> float | None:
    """Cores of a quota and a period in microseconds; None where unlimited."""
    allowed, length = number(quota), number(period)
    return allowed / length if allowed is not None and length else None


def working_set(usage: int | None, inactive_file: int | None) -> int | None:
    """Memory in use without the page cache that could be dropped, as Docker reports it."""
    if usage is None or inactive_file is None or inactive_file > usage:
        return usage
    return usage - inactive_file


def weight(shares: str | None, weight: str | None) -> float | None:
    """The weight on v1's scale, of whichever version's file there is."""
    if (found := number(shares)) is not None:
        return float(found)
    return None if (found := number(weight)) is None else cpu_weight.of_v2(found)


def cpus(*texts: str | None) -> str | None:
    """The first list of CPUs that says some, in its shortest form; None where none does."""
    for text in texts:
        try:
            if found := cpu_list.parse(text or ""):
                return cpu_list.written(found)
        except ValueError:
            continue
    return None


def frozen(text: str | None) -> bool | None:
    """`freezer.state` of v1, or the line `frozen` in v2's `cgroup.events`; also while it is on its way there."""
    word = (text or "").strip()
    if word in ("THAWED", "FREEZING", "FROZEN"):
        return word != "THAWED"
    return None if (found := field(text, "frozen")) is None else bool(found)


@dataclass(frozen=True)
class CgroupFiles:
    """The folders of one control group, found once and read often. A folder is None where it cannot be seen."""

    version: int
    cpu: Path | None
    cpuacct: Path | None
    memory: Path | None
    cpuset: Path | None = None
    freezer: Path | None = None

    def read(self) -> Reading:
        """Limits and use now; parts that cannot be read (any more) are None."""
        if not any((self.cpu, self.cpuacct, self.memory)):
            return Reading()
        return self._read_v2() if self.version == 2 else self._read_v1()

    def oom_kills(self) -> int | None:
        """How many of its processes were killed for want of memory so far: one file read, which is quick."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        return field(_text(self.memory, name), "oom_kill")

    def limits(self) -> tuple[float, int]:
        """CPUs and bytes of memory allowed now, 0 where unlimited or unreadable: two or three files read."""
        if self.version == 2:
            quota, _, period = (_text(self.cpu, "cpu.max") or "").partition(" ")
            return cpu_share(quota, period) or 0.0, number(_text(self.memory, "memory.max")) or 0
        share = cpu_share(_text(self.cpu, "cpu.cfs_quota_us"), _text(self.cpu, "cpu.cfs_period_us"))
        return share or 0.0, number(_text(self.memory, "memory.limit_in_bytes")) or 0

    def _read_v1(self) -> Reading:
        spent = number(_text(self.cpuacct, "cpuacct.usage"))
        inactive = field(_text(self.memory, "memory.stat"), "total_inactive_file")
        return Reading(
            cpus_limit=cpu_share(_text(self.cpu, "cpu.cfs_quota_us"), _text(self.cpu, "cpu.cfs_period_us")),
            memory_limit=number(_text(self.memory, "memory.limit_in_bytes")),
            cpu_seconds=None if spent is None else spent / _NANOSECONDS,
            memory_used=working_set(number(_text(self.memory, "memory.usage_in_bytes")), inactive),
            oom_kills=self.oom_kills(),
            weight=weight(_text(self.cpu, "cpu.shares"), None),
            cpuset=cpus(_text(self.cpuset, "cpuset.effective_cpus"), _text(self.cpuset, "cpuset.cpus")),
            frozen=frozen(_text(self.freezer, "freezer.state")),
            source="cgroup v1",
        )

    def _read_v2(self) -> Reading:
        quota, _, period = (_text(self.cpu, "cpu.max") or "").partition(" ")
        spent = field(_text(self.cpuacct, "cpu.stat"), "usage_usec")
        inactive = field(_text(self.memory, "memory.stat"), "inactive_file")
        return Reading(
            cpus_limit=cpu_share(quota, period),
            memory_limit=number(_text(self.memory, "memory.max")),
            cpu_seconds=None if spent is None else spent / _MICROSECONDS,
            memory_used=working_set(number(_text(self.memory, "memory.current")), inactive),
            oom_kills=self.oom_kills(),
            weight=weight(None, _text(self.cpu, "cpu.weight")),
            cpuset=cpus(_text(self.cpuset, "cpuset.cpus.effective")),
            frozen=frozen(_text(self.freezer, "cgroup.events")),
            source="cgroup v2",
        )


def cgroup_paths(pid: int, root: Path = Path("/")) -> CgroupFiles:
    """The control group of the host's process `pid`, as this process sees the hierarchies under `root`.

    Where CPU or memory is in a v1 hierarchy that version counts, else v2. What cannot be seen is None, also where the
    process is gone.
    """
    mounts = parse_mounts(_text(root / "proc" / "self", "mountinfo") or "")
    membership = parse_membership(_text(root / "proc" / str(pid), "cgroup") or "")

    def place(controller: str) -> Path | None:
        found = folder(mounts, membership, controller)
        return None if found is None else root / found.relative_to("/")

    if membership.keys() & {"cpu", "memory"}:
        return CgroupFiles(1, *(place(name) for name in ("cpu", "cpuacct", "memory", "cpuset", "freezer")))
    unified = place("")
    return CgroupFiles(2, unified, unified, unified, unified, unified)


def read(pid: int, root: Path = Path("/")) -> Reading:
    """Limits and use of the control group that the host's process `pid` is in; unreadable parts are None."""
    return cgroup_paths(pid, root).read()


def _text(folder: Path | None, name: str) -> str | None:
    try:
        return None if folder is None else (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _unescape(path: str) -> str:
    """mountinfo writes blanks and backslashes as octal numbers."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
