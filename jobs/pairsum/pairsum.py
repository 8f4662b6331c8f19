"""Reads `a b` a line, writes a + b a line. Whole numbers of any size, exact."""

import sys


def main() -> None:
    for line in sys.stdin:
        words = line.split()
        try:
            first, second = map(int, words)
        except ValueError:
            sys.exit(f"not a pair of whole numbers: {line.rstrip()!r}")
        sys.stdout.write(f"{first + second}\n")


if __name__ == "__main__":
    main()
