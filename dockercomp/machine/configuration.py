"""The `configuration` file: KEY=value lines with comments, shared by shell scripts and daemons.

A value is made of [A-Za-z0-9._:/@,+-], or stands in single quotes. The environment wins over the file. Shell scripts
read it through `configuration_value` in machine/configuration.sh; daemons through `read`, which refuses anything else.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

KNOWN_KEYS = frozenset({
    "DC_HOST", "DC_PORT", "DC_BIND", "DC_HOME", "DC_SCHEME", "DC_TOKEN", "DC_CONTAINERS", "DC_CPUS", "DC_MEMORY",
        "DC_NAME",
    "DC_MONGO_HOST", "DC_MONGO_URI", "DC_MONGO_DB", "DC_MONGO_PORT", "DC_WORKERS", "DC_THREADS", "DC_ALLOW_PLAIN_HTTP",
    "DC_PUBLIC_URL", "DC_PRIVATE_URLS", "DC_FETCH", "DC_DOCKER_HOST", "DC_API_TOKEN", "U_DB", "U_USER", "U_PASS",
    "DC_DISK", "DC_NETWORK_PER_DAY", "DC_HOURS", "DC_WHEN_IDLE", "DC_ON_BATTERY", "DC_TEMPERATURE", "DC_HOOK",
    "DC_UNLIMITED", "DC_REGISTRY_AUTH", "DC_ROOTLESS", "DC_KEEP_JOBS_DAYS", "DC_KEEP_ADDRESSES_DAYS", "DC_SMTP",
    "DC_MAIL_FROM", "DC_REQUIRE_SIGNATURES", "DC_SCIENTISTS", "DC_ALLOW",
    "DC_INDEPENDENT", "DC_TLS_CERT", "DC_TLS_KEY", "DC_TLS_SELF_SIGNED", "DC_TLS_PIN", "DC_MASTER_KEY", "DC_PROXY_HOPS",
    "DC_QUOTA_JOBS", "DC_QUOTA_STORED", "DC_QUOTA_CHUNKS", "DC_QUOTA_IMAGES",
})  # fmt: skip

_BLANKS = " \t\r\v\f"
"""As a shell sees them: Python would count some control characters too."""
_LINE = re.compile(
    r"^(?:export[ \t]\s*)?([A-Z][A-Z0-9_]*)=(?:([A-Za-z0-9._:/@,+-]*)|'([^'\n]*)')[ \t]*(?:#.*)?$", re.ASCII
)
_SIZE = re.compile(r"^(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)?$")
_UNITS = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
          "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}  # fmt: skip

_LARGEST = 2**53
"""Bytes; what goes between workers and their master is counted exactly up to there."""


class ConfigurationError(ValueError):
    """A line or a value that cannot be used; the message names file, line and the mend."""


def parse(text: str, source: str = "configuration") -> dict[str, str]:
    """The keys and values of a configuration text. Raises ConfigurationError naming the line."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(_BLANKS)
        if not line or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ConfigurationError(
                f"{source}, line {number}: not understood: {line!r}. Write KEY=value with a value of letters,"
                " digits and ._:/@,+- , or put the value in single quotes."
            )
        key = match[1]
        if key not in KNOWN_KEYS:
            from difflib import get_close_matches  # noqa: PLC0415  (only for the message)

            near = get_close_matches(key, KNOWN_KEYS, 1)
            raise ConfigurationError(
                f"{source}, line {number}: unknown key {key}" + (f"; did you mean {near[0]}?" if near else ".")
            )
        values[key] = match[2] if match[2] is not None else match[3]
    return values


def read(path: Path | None, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The file's values under those of the environment. A missing file counts as empty.

    Raises ConfigurationError naming the line.
    """
    return under(parse(text(path), str(path)) if path is not None and path.exists() else {}, environ)


def under(values: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """A file's values with those of the environment over them; an empty value is none."""
    found = {**values, **{key: environ[key] for key in KNOWN_KEYS if key in environ}}
    return {key: value for key, value in found.items() if value != ""}


def text(path: Path) -> str:
    """The file's text. Raises ConfigurationError naming the line that is not UTF-8, OSError where it cannot be read."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: not UTF-8. Save the file as UTF-8, or write this line without accents and the like."
        ) from error


def placed(message: str, path: Path | None) -> str:
    """The message about a value, which begins with its key, with the line of the file that sets it."""
    there = path is not None and path.exists()
    return placed_in(message, path.read_text(encoding="utf-8", errors="replace"), path) if path and there else message


def placed_in(message: str, text: str, path: Path) -> str:
    """The same, where `text` is what the file would hold."""
    key = message.partition("=")[0]
    lines = enumerate(text.split("\n"), 1)
    found = [number for number, line in lines if line.strip().removeprefix("export ").startswith(f"{key}=")]
    return f"{path}, line {found[-1]}: {message}" if found else message


def size(value: str, key: str = "size") -> int:
    """Bytes of a size such as `512MiB` or `1.5 GiB`. Raises ConfigurationError."""
    match = _SIZE.match(value.strip())
    if match is None:
        raise ConfigurationError(f"{key}={value}: not a size. Write a number and a unit, such as 512MiB or 2GiB.")
    found = float(match[1]) * _UNITS[match[2]]
    if found > _LARGEST:
        raise ConfigurationError(f"{key}={value}: more than can be counted. Write at most {_LARGEST >> 40}TiB.")
    return int(found)


def number(value: str, key: str, low: float, high: float) -> float:
    """A number within [low, high]. Raises ConfigurationError."""
    try:
        found = float(value)
    except ValueError:
        raise ConfigurationError(f"{key}={value}: not a number.") from None
    if not low <= found <= high:
        raise ConfigurationError(f"{key}={value}: must be between {low:g} and {high:g}.")
    return found
