"""Student's t: how far a mean of few samples may lie from the truth. Pure.

The 0.975 quantiles, for 95 % two-sided intervals, as in NIST/SEMATECH, "e-Handbook of Statistical Methods", 1.3.6.7.2;
between the tabled degrees of freedom by linear interpolation in their reciprocals, which is right to 0.002.
"""

from bisect import bisect_left
from math import inf

_TABLE = {
    1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
    11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093, 20: 2.086,
    21: 2.080, 22: 2.074, 23: 2.069, 24: 2.064, 25: 2.060, 26: 2.056, 27: 2.052, 28: 2.048, 29: 2.045, 30: 2.042,
    40: 2.021, 60: 2.000, 120: 1.980, inf: 1.960,
}  # fmt: skip
_FREEDOMS = list(_TABLE)


def quantile(freedom: float) -> float:
    """The 0.975 quantile at so many degrees of freedom, 1 or more."""
    freedom = max(1.0, freedom)
    place = bisect_left(_FREEDOMS, freedom)
    above = _FREEDOMS[place]
    if above == freedom:
        return _TABLE[above]
    below = _FREEDOMS[place - 1]
    part = (1 / freedom - 1 / above) / (1 / below - 1 / above)
    return _TABLE[above] + part * (_TABLE[below] - _TABLE[above])
