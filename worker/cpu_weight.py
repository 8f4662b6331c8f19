"""How much a container weighs against others: cgroup v1's `cpu.shares` and what becomes of them in v2. Pure.

Engines are asked in shares, 2 to 262144. Where the machine has cgroup v2 their runtime writes `cpu.weight`, 1 to 10000:
by a straight line (OCI runtime specification; Kubernetes KEP-2254), newer ones by a curve that keeps 1024 at 100 (runc
1.3.2, github.com/opencontainers/cgroups 0.0.3). Which of them wrote can only be told from what was asked.
"""

from math import ceil, log2

_SHARES, _WEIGHTS = 262144 - 2, 10000 - 1


def of_v2(weight: float) -> float:
    """The shares of a `cpu.weight`, by the line."""
    return 2 + (weight - 1) * _SHARES / _WEIGHTS


def same(read: float, asked: int) -> bool:
    """Whether shares read back, from v1 or by `of_v2`, are those that were asked for."""
    return read == asked or any(abs(of_v2(weight) - read) < 1 for weight in (_by_line(asked), _by_curve(asked)))


def _by_line(shares: int) -> int:
    return 1 + (shares - 2) * _WEIGHTS // _SHARES


def _by_curve(shares: int) -> int:
    power = log2(shares)
    return ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))
