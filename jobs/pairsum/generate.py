"""Writes COUNT pairs of numbers to standard output, the same for the same seed: python generate.py COUNT [SEED]"""

import random
import sys


def main() -> None:
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    source = random.Random(int(sys.argv[2]) if len(sys.argv) == 3 else 1)
    for _ in range(int(sys.argv[1])):
        sys.stdout.write(f"{source.randint(-(10**12), 10**12)} {source.randint(-(10**12), 10**12)}\n")


if __name__ == "__main__":
    main()
