"""The kind of CPU, as far as the bits of floating-point results depend on it. Reads /proc/cpuinfo."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_X86 = ("vendor_id", "cpu family", "model")
_ARM = ("CPU implementer", "CPU architecture", "CPU part")
_MATHS = ("fma", "avx", "avx2", "avx512f", "sve", "asimd")
"""Instructions by which libraries choose how they compute: sums are rounded in another order, or not at all between."""


def cpu_kind(path: Path = CPUINFO) -> str:
    """The same text for machines that compute the same bits, such as `x86_64 GenuineIntel 6 85 avx avx2 fma`; empty
    where nothing tells."""
    try:
        return kind_of(path.read_text(encoding="utf-8", errors="replace"), platform.machine())
    except OSError:
        return ""


def kind_of(cpuinfo: str, machine: str) -> str:
    """From the words of /proc/cpuinfo, of its first CPU. Pure."""
    first = cpuinfo.split("\n\n", maxsplit=1)[0]
    said = (line.partition(":") for line in first.splitlines())
    told = {key.strip(): value.strip() for key, colon, value in said if colon}
    names = [told[key] for key in (*_X86, *_ARM) if told.get(key)]
    has = set(told.get("flags", told.get("Features", "")).split())
    return " ".join([machine, *names, *(word for word in _MATHS if word in has)]) if names else ""
