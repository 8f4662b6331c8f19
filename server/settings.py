"""The master's settings, read once from `configuration` under the environment."""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import default_home, write_private

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True)
class Settings:
    home: Path
    host: str
    """What workers dial."""
    port: int
    bind: str
    """Where the master listens."""
    scheme: str
    mongo_uri: str
    """Empty: the embedded mongod, whose address stands in DC_HOME/secrets/mongo.uri once it is set up."""
    database: str
    processes: int
    threads: int
    """Threads a process; at most half of them serve transfers."""
    public_url: str
    heartbeat_s: float = 5.0
    """Longest time between two syncs of a worker; it is shown silent after HEARTBEATS of them."""
    keep_jobs_days: float = 0.0
    """Ended jobs are removed after so many days; 0: never."""
    keep_addresses_days: float = 30.0
    """Addresses of silent clients are forgotten after so many days; 0: never."""
    smtp: str = ""
    """The mail server: smtp:// or smtps:// with user and password where it needs them. Empty: no mail is sent."""
    mail_from: str = "dockercomp@localhost"
    private_urls: bool = False
    """Whether scientists' URLs may lead into the master's own network."""
    retire_after_s: float = 14 * 24 * 3600.0
    """Whether scientists' URLs (inputs, notify) may lead into the master's own network."""

    @property
    def url(self) -> str:
        """The master's address as workers and people know it: configured, never taken from a request."""
        return self.public_url or f"{self.scheme}://{self.host}:{self.port}"

    @property
    def silent_after_s(self) -> float:
        return self.heartbeat_s * 3


def read(environ: Mapping[str, str] = os.environ, path: Path | None = None) -> Settings:
    """Settings from the environment over `path` (default: $DC_CONFIGURATION). Raises ConfigurationError."""
    if path is None and environ.get("DC_CONFIGURATION"):
        path = Path(environ["DC_CONFIGURATION"])
    values = configuration.read(path, environ)
    bind = values.get("DC_BIND", "127.0.0.1")
    if (
        bind not in LOOPBACK
        and values.get("DC_ALLOW_PLAIN_HTTP") != "yes"
        and not values.get("DC_PUBLIC_URL", "").startswith("https://")
    ):
        raise ConfigurationError(
            f"DC_BIND={bind} would speak plain HTTP beyond this machine: passwords, tokens and data could be read on"
            " the way. Put a TLS proxy in front and set DC_PUBLIC_URL=https://…, or set DC_ALLOW_PLAIN_HTTP=yes if the"
            " network is yours."
        )
    return Settings(
        home=default_home({**environ, **{k: v for k, v in values.items() if k == "DC_HOME"}}),
        host=values.get("DC_HOST", "127.0.0.1"),
        port=int(configuration.number(values.get("DC_PORT", "8080"), "DC_PORT", 1, 65535)),
        bind=bind,
        scheme=values.get("DC_SCHEME", "http"),
        mongo_uri=_mongo_uri(values),
        database=values.get("U_DB") or values.get("DC_MONGO_DB", "dockercomp"),
        processes=int(configuration.number(values.get("DC_WORKERS", "2"), "DC_WORKERS", 1, 64)),
        threads=int(configuration.number(values.get("DC_THREADS", "8"), "DC_THREADS", 2, 256)),
        keep_jobs_days=configuration.number(values.get("DC_KEEP_JOBS_DAYS", "0"), "DC_KEEP_JOBS_DAYS", 0, 36500),
        keep_addresses_days=configuration.number(
            values.get("DC_KEEP_ADDRESSES_DAYS", "30"), "DC_KEEP_ADDRESSES_DAYS", 0, 36500
        ),
        smtp=_smtp(values.get("DC_SMTP", "")),
        mail_from=values.get("DC_MAIL_FROM", "dockercomp@localhost"),
        private_urls=values.get("DC_PRIVATE_URLS") == "yes",
        public_url=values.get("DC_PUBLIC_URL", "").rstrip("/"),
    )


def _smtp(address: str) -> str:
    """Raises ConfigurationError where it is no address of a mail server."""
    parts = urlsplit(address)
    if address and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
        raise ConfigurationError("DC_SMTP must be smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…")
    return address


def _mongo_uri(values: Mapping[str, str]) -> str:
    """DC_MONGO_URI whole, or one made of DC_MONGO_HOST, U_USER, U_PASS, U_DB; empty for the embedded mongod."""
    if values.get("DC_MONGO_URI"):
        return values["DC_MONGO_URI"]
    if not values.get("DC_MONGO_HOST"):
        return ""
    database = values.get("U_DB") or values.get("DC_MONGO_DB", "dockercomp")
    user = ""
    if values.get("U_USER"):
        user = f"{quote_plus(values['U_USER'])}:{quote_plus(values.get('U_PASS', ''))}@"
    return f"mongodb://{user}{values['DC_MONGO_HOST']}/{database}"


@dataclass(frozen=True)
class Secrets:
    """What lives under DC_HOME/secrets and never in the database."""

    flask: bytes
    signing_seed: bytes
    blob_store: str
    """Random id of the blob directory, to notice a master that was started with another one."""


def read_secrets(home: Path) -> Secrets:
    """The secrets of this DC_HOME, made at first use."""
    return Secrets(
        flask=_secret(home / "secrets" / "flask.key"),
        signing_seed=_secret(home / "secrets" / "signing.key"),
        blob_store=_secret(home / "blobs" / "id", 8).hex(),
    )


def _secret(path: Path, size: int = 32) -> bytes:
    if not path.exists():
        write_private(path, secrets.token_bytes(size).hex().encode())
    return bytes.fromhex(path.read_text().strip())
