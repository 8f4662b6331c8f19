#!/usr/bin/env python3
"""What is on a machine: `snapshot.py take FILE` writes it down, `snapshot.py compare BEFORE AFTER` prints what differs.

Files (those of installed packages, and what package managers keep of their own, left out), mounts and processes.
Runs on a bare machine: python3 and nothing else. Exit code 1 where something differs.
"""

# A walk over a whole machine goes by plain strings.
# ruff: noqa: PTH112, PTH114, PTH115, PTH118, PTH119, PTH120

import json
import os
import sys
from pathlib import Path

# The kernel's, and what package managers and their scripts write.
LEFT_OUT = (
    "/proc", "/sys", "/dev", "/tmp", "/var/lib/dpkg", "/var/lib/apt", "/var/cache", "/var/log/apt", "/etc/alternatives",
    "/etc/ld.so.cache", "/var/lib/systemd", "/etc/systemd", "/var/lib/ucf", "/etc/ssl/certs",
    *(f"/etc/rc{level}.d" for level in "0123456S"),
)  # fmt: skip
BY_PACKAGE_SCRIPTS = (
    "/etc/group", "/etc/gshadow", "/etc/passwd", "/etc/shadow", "/etc/subuid", "/etc/subgid",
    "/etc/ca-certificates.conf", "/var/log/dpkg.log",
    "/var/log/alternatives.log", "/etc/.pwd.lock", "/var/lib/containerd", "/var/lib/docker",
    "/etc/hosts", "/etc/networks", "/run/adduser", "/run/mount", "/usr/local/share/ca-certificates",
)  # fmt: skip


def files() -> dict[str, str]:
    """Path to kind, size and time of change of content."""
    found: dict[str, str] = {}
    owned = _packaged()
    for folder, folders, names in os.walk("/"):
        folders[:] = [name for name in folders if not _left_out(os.path.join(folder, name)) and name != "__pycache__"]
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            if not (_left_out(path) or os.path.realpath(folder) + "/" + name in owned or path in owned):
                found[path] = _describe(path)
    return found


def _left_out(path: str) -> bool:
    plain = path.rstrip("-")  # passwd- and its like
    alternative = os.path.islink(path) and os.readlink(path).startswith("/etc/alternatives/")
    return path in LEFT_OUT or plain in BY_PACKAGE_SCRIPTS or alternative


def _describe(path: str) -> str:
    status = os.lstat(path)
    if os.path.isdir(path) and not os.path.islink(path):
        return "folder"
    return f"{status.st_mode:o} {status.st_size} {status.st_mtime_ns}"


def _packaged() -> set[str]:
    """Files that a package manager put there, under each name that a merged /usr gives them."""
    owned: set[str] = set()
    for listing in Path("/var/lib/dpkg/info").glob("*.list"):
        for line in listing.read_text(encoding="utf-8").splitlines():
            owned.add(line)
            owned.add(os.path.join(os.path.realpath(os.path.dirname(line)), os.path.basename(line)))
    return owned


def mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]


def processes() -> list[str]:
    """Command lines, ours and our ancestors' left out."""
    family, pid = set(), os.getpid()
    while pid:
        family.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in family:
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return sorted(filter(None, found))


def compare(before: dict, after: dict) -> list[str]:
    """What differs, a line each."""
    old, new = before["files"], after["files"]
    lines = [f"new file: {path}" for path in sorted(new.keys() - old.keys())]
    lines += [f"missing file: {path}" for path in sorted(old.keys() - new.keys()) if os.path.realpath(path) == path]
    lines += [f"changed file: {path}" for path in sorted(old.keys() & new.keys()) if old[path] != new[path]]
    for part in ("mounts", "processes"):
        lines += [f"new in {part}: {item}" for item in after[part] if item not in before[part]]
        lines += [f"missing in {part}: {item}" for item in before[part] if item not in after[part]]
    return lines


def main(argv: list[str]) -> int:
    match argv:
        case ["take", target]:
            taken = {"files": files(), "mounts": mounts(), "processes": processes()}
            Path(target).write_text(json.dumps(taken), encoding="utf-8")
            return 0
        case ["compare", before, after]:
            lines = compare(*(json.loads(Path(name).read_text(encoding="utf-8")) for name in (before, after)))
            print("\n".join(lines) or "nothing differs")
            return 1 if lines else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
