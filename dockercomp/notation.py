"""The job file's notation of single values, such as "8 MiB" and "10 min". Each reader raises ValueError saying what to
write instead."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

Reader = Callable[[Any], Any]

_SIZE_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
               "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip
_TIME_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = re.compile(r"([0-9][0-9,]*(?:\.[0-9]+)?) ?(?:in ([0-9][0-9,]*)|%)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


def size(value: Any) -> int:
    """Bytes of a size such as "8 MiB"."""
    found = _quantity(value, _SIZE_UNITS)
    if found is None:
        raise ValueError(f'{value!r} is not a size; write a number and a unit in quotes, such as "8 MiB" or "1 GiB"')
    return int(found)


def duration(value: Any) -> float:
    """Seconds of a duration such as "10 min"."""
    found = _quantity(value, _TIME_UNITS)
    if found is None:
        raise ValueError(f'{value!r} is not a duration; write a number and ms, s, min, h or d, such as "10 min"')
    return found


def _quantity(value: Any, units: Mapping[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) * units[match[2]] if match and match[2] in units else None


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text in quotes")
    return value


def variable(value: Any) -> str:
    """A text that may be empty."""
    if not isinstance(value, str):
        raise ValueError(f'must be a text in quotes, such as "{value}"')
    return value


def integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("must be a whole number, without quotes")
    return value


def number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("must be a number, without quotes")
    return float(value)


def share(value: Any) -> float:
    """A share from 0 to 1: a number, or a text such as "1 in 10000" or "2 %"."""
    if isinstance(value, str) and (match := _SHARE.fullmatch(value.strip())):
        counted, of = (float(part.replace(",", "")) if part else 100.0 for part in match.groups())
        return counted / of if of else 0.0
    if isinstance(value, str):
        raise ValueError(f'{value!r} is not a share; write a number such as 0.0001, or "1 in 10000", or "2 %"')
    return number(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false, without quotes")
    return value


def command(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise ValueError('must be a list of texts, such as ["python3", "map.py"]; for a shell: ["sh", "-c", "…"]')
    return value


def texts(value: Any) -> list[str]:
    """A list of texts; one text alone is a list of one."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
        raise ValueError('must be a list of texts, such as ["a", "b"]')
    return found


def values(value: Any) -> list[str | int | float | bool]:
    """What a parameter may be."""
    if not isinstance(value, list) or not all(isinstance(each, str | int | float) for each in value):
        raise ValueError('must be a list of texts, numbers, true or false, such as [0.1, 0.2] or ["a", "b"]')
    return value


def column(value: Any) -> str:
    """A column by its name or its number from 1."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    raise ValueError("must be a column: its name in quotes, or its number from 1")


def columns(value: Any) -> list[str]:
    return [column(each) for each in (value if isinstance(value, list) else [value])]


def choice(*names: str) -> Reader:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError(f"{value!r} is not one of {either(names)}{nearest(value, names)}")
        return str(value)

    return read


def some(*names: str) -> Reader:
    """A list of some of these."""
    one = choice(*names)
    return lambda value: [one(each) for each in texts(value)]


def nearest(word: object, names: tuple[str, ...]) -> str:
    """`; did you mean …?`, or nothing where no name is near."""
    near = get_close_matches(str(word), names, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def either(names: tuple[str, ...]) -> str:
    """`"a", "b" or "c"`."""
    quoted = [f'"{name}"' for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
