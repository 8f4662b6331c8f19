"""Chunks a second lately, measured between the looks of one page: the page carries two earlier counts along. Pure."""

WINDOW_S = 6.0


def measure(carried: str, now: float, count: int) -> tuple[float | None, str]:
    """The rate since the older of the carried counts (None at the first look), and what to carry to the next one.

    Two counts are carried, so that the rate always looks back over WINDOW_S at least once there is that much.
    """
    samples = _read(carried, now, count)
    if not samples:
        return None, _write([(now, count)])
    then, before = samples[0]
    rate = (count - before) / (now - then) if now > then else None
    if now - samples[-1][0] >= WINDOW_S:
        samples = [*samples[-1:], (now, count)]
    return rate, _write(samples)


def _read(carried: str, now: float, count: int) -> list[tuple[float, int]]:
    """The counts carried; none where they cannot be earlier ones of this count."""
    try:
        pairs = [pair.split(":") for pair in carried.split(",") if pair]
        samples = [(float(at), int(earlier)) for at, earlier in pairs][:2]
    except ValueError:
        return []
    possible = all(now - 3600 < at <= now and 0 <= earlier <= count for at, earlier in samples)
    return samples if possible else []


def _write(samples: list[tuple[float, int]]) -> str:
    return ",".join(f"{at:.2f}:{count}" for at, count in samples)
