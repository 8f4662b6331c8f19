"""Prices the same options by one plain process, sharing no code with the job: python reference.py < OPTIONS

Through the standard library's normal distribution, so digits beyond the eighth may differ.
"""

import sys
from math import exp, log, sqrt
from statistics import NormalDist

N = NormalDist().cdf


def price(spot: float, strike: float, rate: float, volatility: float, years: float, kind: str) -> float:
    """The price of a call; of a put by put-call parity."""
    wide = volatility * sqrt(years)
    d1 = (log(spot / strike) + (rate + volatility**2 / 2) * years) / wide
    discounted = strike * exp(-rate * years)
    call = spot * N(d1) - discounted * N(d1 - wide)
    return call if kind == "C" else call - spot + discounted


if __name__ == "__main__":
    for line in sys.stdin:
        *numbers, kind = line.split()
        print(f"{price(*map(float, numbers), kind):.8f}")
