"""The master's settings, read once from `configuration` under the environment."""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args
from urllib.parse import quote_plus, urlsplit

from dockercomp.machine import configuration
from dockercomp.machine.configuration import ConfigurationError
from dockercomp.machine.home import default_home, write_private
from dockercomp.protocol import pins
from dockercomp.protocol.orders import Independence
from dockercomp.protocol.quotas import Amounts
from server import quotas

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (named, not bound)
"""Addresses that stand for all of this machine's, each with one at which what listens there answers."""

KEYS = frozenset({
    "DC_HOME", "DC_HOST", "DC_PORT", "DC_BIND", "DC_SCHEME", "DC_PUBLIC_URL", "DC_ALLOW_PLAIN_HTTP", "DC_TLS_CERT",
    "DC_TLS_KEY", "DC_TLS_SELF_SIGNED", "DC_TLS_PIN", "DC_PROXY_HOPS", "DC_WORKERS", "DC_THREADS", "DC_PRIVATE_URLS",
    "DC_KEEP_JOBS_DAYS", "DC_KEEP_ADDRESSES_DAYS", "DC_SMTP", "DC_MAIL_FROM", "DC_INDEPENDENT", "DC_MONGO_URI",
    "DC_REGISTRY_AUTH",
    "DC_MONGO_HOST", "DC_MONGO_PORT", "DC_MONGO_DB", "U_DB", "U_USER", "U_PASS", *quotas.KEYS,
})  # fmt: skip
"""All that is read of `configuration` here; each process of the master gets every one of them."""


@dataclass(frozen=True)
class Settings:
    home: Path
    host: str
    """What workers dial."""
    port: int
    bind: str
    """Where the master listens: a name or an address, without brackets."""
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
    registry_auth: str = ""
    """A file as docker login writes it, for images that scientists name in a registry. Empty: docker's own."""
    private_urls: bool = False
    """Whether scientists' URLs may lead into the master's own network."""
    independent: Independence = "client"
    """The least that replicas of a chunk must differ in, whatever their job asks for."""
    retire_after_s: float = 14 * 24 * 3600.0
    """A client that was silent for so long has to enrol again."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_self_signed: bool = False
    """Certificate and key are made at the first start, under DC_HOME/secrets/tls."""
    tls_pin: str = ""
    """What callers are told to trust: the fingerprint of the certificate. Empty: what their authorities signed."""
    proxy_hops: int = 0
    """Proxies of ours before the master, whose X-Forwarded-For and -Proto are believed; all others' are ignored."""
    quota: Amounts = field(default_factory=Amounts)
    """What each scientist may have, unless an admin gave them their own."""
    given: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The keys that these settings were read from."""

    @property
    def speaks_tls(self) -> bool:
        return self.tls_self_signed or self.tls_cert is not None

    @property
    def listens(self) -> str:
        return f"{_in_url(self.bind)}:{self.port}"

    @property
    def asked_at(self) -> str:
        """The address at which this machine itself reaches the master."""
        scheme = "https" if self.speaks_tls else "http"
        return f"{scheme}://{_in_url(_EVERYWHERE.get(self.bind, self.bind))}:{self.port}"

    @property
    def plain_beyond_loopback(self) -> bool:
        return self.bind not in LOOPBACK and not self.speaks_tls and not self.public_url.startswith("https://")

    def environment(self) -> dict[str, str]:
        """The variables by which another process reads these same settings, whatever its own environment says."""
        mine = {key: self.given.get(key, "") for key in KEYS}
        if self.tls_cert is not None and self.tls_key is not None:
            mine |= {"DC_TLS_CERT": str(self.tls_cert), "DC_TLS_KEY": str(self.tls_key), "DC_TLS_SELF_SIGNED": ""}
        return mine | {"DC_HOME": str(self.home), "DC_TLS_PIN": self.tls_pin}

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
    found = _settings(values, environ)
    if found.plain_beyond_loopback and not _yes(values, "DC_ALLOW_PLAIN_HTTP"):
        raise ConfigurationError(
            f"DC_BIND={found.bind} would speak plain HTTP beyond this machine: passwords, tokens and data could be read"
            " on the way. Use server/start --tls-self-signed, or --tls-cert and --tls-key; or put a TLS proxy in front"
            " and set DC_PUBLIC_URL=https://… and DC_PROXY_HOPS=1; or set DC_ALLOW_PLAIN_HTTP=yes if the network is"
            " yours."
        )
    return found


def _settings(values: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    tls = _tls(values)
    return Settings(
        home=default_home({**environ, **{k: v for k, v in values.items() if k == "DC_HOME"}}),
        host=_host(values),
        port=int(configuration.number(values.get("DC_PORT", "8080"), "DC_PORT", 1, 65535)),
        bind=values.get("DC_BIND", "127.0.0.1").strip("[]"),
        scheme="https" if tls["tls_cert"] or tls["tls_self_signed"] else _scheme(values),
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
        registry_auth=values.get("DC_REGISTRY_AUTH", ""),
        private_urls=_yes(values, "DC_PRIVATE_URLS"),
        independent=_independent(values.get("DC_INDEPENDENT", "client")),
        public_url=_public_url(values),
        proxy_hops=int(configuration.number(values.get("DC_PROXY_HOPS", "0"), "DC_PROXY_HOPS", 0, 9)),
        quota=quotas.read(values),
        given={key: value for key, value in values.items() if key in KEYS},
        **tls,
    )


def _yes(values: Mapping[str, str], key: str) -> bool:
    """Raises ConfigurationError for anything but yes and no: a slip must not loosen or tighten anything unseen."""
    given = values.get(key, "no")
    if given not in ("yes", "no"):
        raise ConfigurationError(f"{key}={given}: must be yes or no.")
    return given == "yes"


def _host(values: Mapping[str, str]) -> str:
    host = values.get("DC_HOST", "127.0.0.1")
    if not re.fullmatch(r"[A-Za-z0-9._:\[\]-]+", host):
        raise ConfigurationError(f"DC_HOST={host}: must be a host name or an address.")
    return _in_url(host)


def _in_url(host: str) -> str:
    """An address of version 6 in brackets, which keep it from the port."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _scheme(values: Mapping[str, str]) -> str:
    given = values.get("DC_SCHEME", "http")
    if given not in ("http", "https"):
        raise ConfigurationError(f"DC_SCHEME={given}: must be http or https.")
    return given


def _public_url(values: Mapping[str, str]) -> str:
    url = values.get("DC_PUBLIC_URL", "").rstrip("/")
    found = re.fullmatch(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?", url)
    if url and not found:
        raise ConfigurationError(f"DC_PUBLIC_URL={url}: must be https://HOST, or http://HOST.")
    if found and found[1]:
        raise ConfigurationError(
            f"DC_PUBLIC_URL={url}: workers and pages look for the master at the top of its host, not under {found[1]}:"
            " give it a name of its own, such as https://compute.example.org, or a port of its own."
        )
    return url


def _tls(values: Mapping[str, str]) -> dict[str, Any]:
    """The settings of TLS. Raises ConfigurationError where they contradict each other."""
    certificate, key = values.get("DC_TLS_CERT", ""), values.get("DC_TLS_KEY", "")
    self_signed = _yes(values, "DC_TLS_SELF_SIGNED")
    if bool(certificate) != bool(key):
        raise ConfigurationError("DC_TLS_CERT and DC_TLS_KEY (--tls-cert, --tls-key) go together.")
    if certificate and self_signed:
        raise ConfigurationError("DC_TLS_SELF_SIGNED makes a certificate, and DC_TLS_CERT names one: choose.")
    try:
        pin = pins.parse(values["DC_TLS_PIN"]) if "DC_TLS_PIN" in values else ""
    except ValueError as error:
        raise ConfigurationError(f"DC_TLS_PIN={error}.") from error
    return {
        "tls_cert": Path(certificate).absolute() if certificate else None,
        "tls_key": Path(key).absolute() if key else None,
        "tls_self_signed": self_signed,
        "tls_pin": pin,
    }


def _independent(value: str) -> Independence:
    """Raises ConfigurationError where it is none of the words."""
    for known in get_args(Independence):
        if value == known:
            return cast(Independence, known)
    raise ConfigurationError(
        f"DC_INDEPENDENT={value} is unknown: write client, owner or address, what two results of a chunk must differ in"
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
    user, host = "", values["DC_MONGO_HOST"]
    if values.get("U_USER"):
        user = f"{quote_plus(values['U_USER'])}:{quote_plus(values.get('U_PASS', ''))}@"
    if "DC_MONGO_PORT" in values and not re.search(r":\d+$", host):
        host += f":{int(configuration.number(values['DC_MONGO_PORT'], 'DC_MONGO_PORT', 1, 65535))}"
    return f"mongodb://{user}{host}/{database}"


@dataclass(frozen=True)
class Secrets:
    """What lives under DC_HOME/secrets and never in the database."""

    flask: bytes
    signing_seed: bytes
    blob_store: str
    """Random id of the blob directory, to notice a master that was started with another one."""

    @property
    def draws(self) -> bytes:
        """Decides what is checked: the same for all masters of one instance, since they share the signing key."""
        return hmac.digest(self.signing_seed, b"dockercomp draws", hashlib.sha256)


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
