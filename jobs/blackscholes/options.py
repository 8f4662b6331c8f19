"""Writes COUNT options to standard output, the same for the same seed: python options.py COUNT [SEED]"""

import random
import sys


def main() -> None:
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    source = random.Random(int(sys.argv[2]) if len(sys.argv) == 3 else 1)
    for _ in range(int(sys.argv[1])):
        spot, strike = source.randint(2_000, 20_000) / 100, source.randint(2_000, 20_000) / 100
        rate, volatility = source.randint(0, 80) / 1000, source.randint(5, 90) / 100
        print(spot, strike, rate, volatility, source.randint(1, 40) / 10, source.choice("CP"))


if __name__ == "__main__":
    main()
