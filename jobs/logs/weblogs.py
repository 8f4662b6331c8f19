"""Writes LINES of a made-up web server's log as JSON lines to standard output: python weblogs.py LINES [SEED]

time, client, method, path, status, bytes, ms, agent; the same for the same seed. Once a day something breaks for an
hour.
"""

import json
import random
import sys
from datetime import datetime, timedelta, timezone

PATHS = [("/", 30), ("/search", 25), ("/wiki/Ænima", 8), ("/wiki/東京", 8), ("/login", 9), ("/api", 15), ("/old", 5)]
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64)", "curl/7.88.1", 'Feed "reader" 2.1', "Googlebot/2.1"]
USUAL = [(200, 90), (304, 5), (404, 4), (500, 1)]
BROKEN = [(200, 40), (502, 45), (503, 15)]
START = datetime(2024, 2, 28, tzinfo=timezone.utc)
DAYS = 3


def main() -> None:
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    count, source = int(sys.argv[1]), random.Random(int(sys.argv[2]) if len(sys.argv) == 3 else 1)
    broken = {day: source.randrange(24) for day in range(DAYS)}
    for number in range(count):
        time = START + timedelta(days=DAYS) * (number / count)
        path = drawn(source, PATHS)
        status = drawn(source, BROKEN if broken[(time - START).days] == time.hour else USUAL)
        if path == "/old":
            status = 301
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "client": f"192.0.2.{source.randint(1, 254)}",
            "method": "POST" if path == "/login" else "GET",
            "path": path,
            "status": status,
            "bytes": source.randint(120, 60_000),
            "ms": round(source.lognormvariate(3, 1), 1),
            "agent": source.choice(AGENTS),
        }
        print(json.dumps(line, ensure_ascii=False))


def drawn(source, choices):
    """One of (what, weight)."""
    return source.choices([what for what, _ in choices], [weight for _, weight in choices])[0]


if __name__ == "__main__":
    main()
