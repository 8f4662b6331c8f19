"""How often the Collatz sequences of numbers come to which length: written for a local pool, run on lent machines.

python pool.py [LIMIT]
"""

import sys
from collections import Counter

# before: from concurrent.futures import ProcessPoolExecutor
from dockercomp import Executor as ProcessPoolExecutor


def steps(number: int) -> int:
    """Steps of the Collatz sequence from `number` to 1."""
    count = 0
    while number != 1:
        number = number // 2 if number % 2 == 0 else 3 * number + 1
        count += 1
    return count


def lengths(numbers: range) -> Counter[int]:
    return Counter(map(steps, numbers))


def main(limit: int) -> None:
    parts = [range(start, min(start + 1000, limit)) for start in range(1, limit, 1000)]
    total: Counter[int] = Counter()
    with ProcessPoolExecutor() as pool:
        for part in pool.map(lengths, parts):
            total.update(part)
    longest = max(total)
    print(f"{total.total()} numbers below {limit}; the longest sequence has {longest} steps")
    print("most common:", ", ".join(f"{length} ({times})" for length, times in total.most_common(3)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
