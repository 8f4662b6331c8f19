"""The worker's settings, from `configuration` under the environment; the ceiling's keys may change while it runs."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import default_home

from .limits import Wishes
from .urls import REACHES, Reach

PORT = 8080


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
    wishes: Wishes
    fetch: Reach
    """Which URLs the worker reads for jobs."""
    source: Path | None
    """The configuration file that was read."""


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
    values = configuration.read(source, environ)
    return Settings(
        home=default_home({**environ, "DC_HOME": values.get("DC_HOME", "")}),
        url=_url(values),
        token=values.get("DC_TOKEN", ""),
        name=values.get("DC_NAME", "") or socket.gethostname(),
        docker_host=values.get("DC_DOCKER_HOST", ""),
        wishes=wishes(values),
        fetch=_reach(values),
        source=source,
    )


def reread_wishes(source: Path | None, environ: Mapping[str, str] = os.environ) -> Wishes:
    """The ceiling's keys alone, for a daemon that runs. Raises ConfigurationError; the caller keeps the old ones."""
    return wishes(configuration.read(source, environ))


def wishes(values: Mapping[str, str]) -> Wishes:
    """The ceiling's keys. Raises ConfigurationError."""

    def number(key: str, low: float, high: float) -> float | None:
        return configuration.number(values[key], key, low, high) if key in values else None

    containers = number("DC_CONTAINERS", 1, 1024)
    if containers is not None and containers != int(containers):
        raise ConfigurationError(f"DC_CONTAINERS={values['DC_CONTAINERS']}: must be a whole number.")
    memory = configuration.size(values["DC_MEMORY"], "DC_MEMORY") if "DC_MEMORY" in values else None
    if memory is not None and memory < 64 * 2**20:
        raise ConfigurationError(f"DC_MEMORY={values['DC_MEMORY']}: must be at least 64MiB.")
    return Wishes(
        containers=None if containers is None else int(containers),
        cpus=number("DC_CPUS", 0.05, 4096),
        memory=memory,
    )


def _reach(values: Mapping[str, str]) -> Reach:
    given = values.get("DC_FETCH", "public")
    for reach in REACHES:
        if given == reach:
            return reach
    raise ConfigurationError(f"DC_FETCH={given}: must be none, public or any.")


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
