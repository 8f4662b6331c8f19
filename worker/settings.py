"""The worker's settings, from `configuration` under the environment; the ceiling's keys may change while it runs."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import default_home
from dockercomp.protocol import pins

from . import consent, contradictions, schedule
from .limits import MIB, Wishes
from .urls import REACHES, Reach

PORT = 8080
IDLE_MINUTES = 5.0
"""Of DC_WHEN_IDLE=yes."""
COOLEST, HOTTEST = 30.0, 110.0
"""Degrees Celsius that DC_TEMPERATURE may name."""
LEAST_DISK = 64 * MIB
LEAST_NETWORK = 128 * MIB
"""Less would not let one image, or a part for each thread that fetches, come in."""


@dataclass(frozen=True)
class Settings:
    home: Path
    url: str
    """The master's address, such as `http://127.0.0.1:8080`."""
    token: str
    """Enrolment token; needed once."""
    name: str
    """What the machine is called on the dashboard."""
    docker_host: str
    """Empty: as Docker's own tools find it."""
    rootless: bool
    """The engine is this user's own, and no other is ever spoken to."""
    wishes: Wishes
    fetch: Reach
    """Which URLs the worker reads for jobs."""
    registry_auth: str
    """A file as docker login writes it; empty: docker's own."""
    source: Path | None
    """The configuration file that was read."""
    master_key: str = ""
    """The master's key, or its fingerprint, that DC_MASTER_KEY names; empty: the one that it shows at enrolment."""
    tls_pin: str = ""
    """Fingerprint of the one certificate that the master may show. Empty: what this machine's authorities signed."""

    def engine_environ(self, environ: Mapping[str, str]) -> dict[str, str]:
        """By which docker_host finds the engine: what the configuration names, and for a rootless worker its own."""
        return {**environ, "DC_DOCKER_HOST": self.docker_host, "DC_ROOTLESS": "yes" if self.rootless else ""}


def find_configuration(environ: Mapping[str, str] = os.environ) -> Path | None:
    """DC_HOME/configuration, else $DC_CONFIGURATION, else ./configuration; None if there is none."""
    candidates = [default_home(environ) / "configuration"]
    if environ.get("DC_CONFIGURATION"):
        candidates.append(Path(environ["DC_CONFIGURATION"]))
    candidates.append(Path("configuration"))
    return next((path.resolve() for path in candidates if path.is_file()), None)


def read(environ: Mapping[str, str] = os.environ) -> Settings:
    """All settings. Raises ConfigurationError naming what is wrong and the mend."""
    source = find_configuration(environ)
    try:
        return from_values(configuration.read(source, environ), source, environ)
    except ConfigurationError as error:
        raise ConfigurationError(configuration.placed(str(error), source)) from error


def from_values(values: Mapping[str, str], source: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings that these values make, as `source` would hold them. Raises ConfigurationError, the key first."""
    rootless = _one_of(values, "DC_ROOTLESS", "no", "yes") == "yes"
    why = contradictions.rootless(values.get("DC_DOCKER_HOST", "")) if rootless else ""
    if why:
        raise ConfigurationError(why)
    return Settings(
        home=default_home({**environ, "DC_HOME": values.get("DC_HOME", "")}),
        url=_url(values),
        token=values.get("DC_TOKEN", ""),
        name=values.get("DC_NAME", "") or socket.gethostname(),
        docker_host=values.get("DC_DOCKER_HOST", ""),
        rootless=rootless,
        wishes=wishes(values),
        fetch=_reach(values),
        registry_auth=values.get("DC_REGISTRY_AUTH", ""),
        source=source,
        master_key=_master_key(values),
        tls_pin=_pin(values),
    )


def reread_wishes(source: Path | None, environ: Mapping[str, str] = os.environ) -> Wishes:
    """The ceiling's keys alone, for a daemon that runs. Raises ConfigurationError; the caller keeps the old ones."""
    try:
        return wishes(configuration.read(source, environ))
    except ConfigurationError as error:
        raise ConfigurationError(configuration.placed(str(error), source)) from error


def wishes(values: Mapping[str, str]) -> Wishes:
    """The ceiling's keys. Raises ConfigurationError."""

    def number(key: str, low: float, high: float) -> float | None:
        return configuration.number(values[key], key, low, high) if key in values else None

    containers = number("DC_CONTAINERS", 1, 1024)
    if containers is not None and containers != int(containers):
        raise ConfigurationError(f"DC_CONTAINERS={values['DC_CONTAINERS']}: must be a whole number.")
    found = Wishes(
        containers=None if containers is None else int(containers),
        cpus=number("DC_CPUS", 0.05, 4096),
        memory=_size(values, "DC_MEMORY", 64 * MIB),
        disk=_size(values, "DC_DISK", LEAST_DISK),
        network_per_day=_size(values, "DC_NETWORK_PER_DAY", LEAST_NETWORK),
        hours=_hours(values),
        idle_s=_idle(values),
        on_battery=_one_of(values, "DC_ON_BATTERY", "yes", "no") == "yes",
        temperature=number("DC_TEMPERATURE", COOLEST, HOTTEST),
        hook=values.get("DC_HOOK", ""),
        consent=consent.read(values),
        unlimited="warn" if _one_of(values, "DC_UNLIMITED", "refuse", "warn") == "warn" else "refuse",
    )
    why = contradictions.refusal(found)
    if why:
        raise ConfigurationError(why)
    return found


def _size(values: Mapping[str, str], key: str, least: int) -> int | None:
    if key not in values:
        return None
    size = configuration.size(values[key], key)
    if size < least:
        raise ConfigurationError(f"{key}={values[key]}: must be at least {least // MIB}MiB.")
    return size


def _hours(values: Mapping[str, str]) -> schedule.Hours | None:
    try:
        return schedule.parse(values["DC_HOURS"]) if "DC_HOURS" in values else None
    except schedule.BadHours as error:
        raise ConfigurationError(f"DC_HOURS={values['DC_HOURS']}: {error}.") from error


def _idle(values: Mapping[str, str]) -> float | None:
    """Seconds."""
    given = values.get("DC_WHEN_IDLE", "no")
    if given in ("yes", "no"):
        return IDLE_MINUTES * 60 if given == "yes" else None
    try:
        return configuration.number(given, "DC_WHEN_IDLE", 1, 1440) * 60
    except ConfigurationError as error:
        raise ConfigurationError(f"DC_WHEN_IDLE={given}: must be yes, no, or minutes from 1 to 1440.") from error


def _one_of(values: Mapping[str, str], key: str, *words: str) -> str:
    """The value, which is one of `words`; the first where there is none."""
    given = values.get(key, words[0])
    if given not in words:
        raise ConfigurationError(f"{key}={given}: must be {' or '.join(words)}.")
    return given


def _master_key(values: Mapping[str, str]) -> str:
    given = values.get("DC_MASTER_KEY", "")
    if given and not consent.KEY.fullmatch(given):
        raise ConfigurationError(
            f"DC_MASTER_KEY={given}: must be the master's key (64 hex digits) or its fingerprint (sha256: and 64 hex"
            " digits), as its admin has it from `dockercomp master-key`."
        )
    return given


def _reach(values: Mapping[str, str]) -> Reach:
    given = values.get("DC_FETCH", "public")
    for reach in REACHES:
        if given == reach:
            return reach
    raise ConfigurationError(f"DC_FETCH={given}: must be none, public or any.")


def _pin(values: Mapping[str, str]) -> str:
    given = values.get("DC_TLS_PIN", "")
    if given and values.get("DC_SCHEME") != "https":
        raise ConfigurationError("DC_TLS_PIN pins a certificate, and plain HTTP shows none: set DC_SCHEME=https.")
    try:
        return pins.parse(given) if given else ""
    except ValueError as error:
        raise ConfigurationError(f"DC_TLS_PIN={error}.") from error


def is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "[::1]") or host.startswith("127.")


def _url(values: Mapping[str, str]) -> str:
    host, scheme = values.get("DC_HOST", "127.0.0.1"), values.get("DC_SCHEME", "http")
    port = int(configuration.number(values.get("DC_PORT", str(PORT)), "DC_PORT", 1, 65535))
    if scheme not in ("http", "https"):
        raise ConfigurationError(f"DC_SCHEME={scheme}: must be http or https.")
    if scheme == "http" and not is_loopback(host) and values.get("DC_ALLOW_PLAIN_HTTP") != "yes":
        raise ConfigurationError(
            f"DC_HOST={host} would be spoken to over plain HTTP beyond this machine: credentials and data could be read"
            " and changed on the way. Use DC_SCHEME=https, or set DC_ALLOW_PLAIN_HTTP=yes if the network is yours."
        )
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{scheme}://{host}:{port}"
