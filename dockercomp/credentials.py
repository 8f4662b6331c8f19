"""Which master, and with which token: options, then the environment, then a file that only its owner can read."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .machine.home import default_home
from .protocol import pins
from .protocol.errors import DockercompError, Forbidden, Unauthorized

DEFAULT_URL = "http://127.0.0.1:8080"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class CredentialsError(DockercompError):
    """A credentials file that cannot be used; names it."""


@dataclass(frozen=True)
class Credentials:
    url: str
    token: str
    pin: str = ""
    """Fingerprint of the one certificate that the master may show; empty: what this machine's authorities signed."""


def find(url: str = "", token: str = "", environ: Mapping[str, str] = os.environ) -> Credentials:
    """The master to talk to. A token from a file goes only to the master that the file names.

    Raises Unauthorized where there is no token, Forbidden where it would travel unencrypted, CredentialsError.
    """
    url = (url or _url_of(environ)).rstrip("/")
    token = token or environ.get("DC_API_TOKEN", "")
    if not (url and token):
        stored = next((each for each in _stored(environ) if url in ("", each.url)), Credentials(url or DEFAULT_URL, ""))
        url, token = stored.url, token or stored.token
    if not token:
        raise Unauthorized(_missing(url, environ))
    _check_plain(url, environ)
    return Credentials(url, token, pin_of(url, environ))


def pin_of(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """The certificate that is pinned for this master: DC_TLS_PIN, or what stands in a file beside its token.
    Raises CredentialsError."""
    if not url.startswith("https://"):
        return ""
    stored = (each.pin for each in _stored(environ) if each.url == url.rstrip("/"))
    found = environ.get("DC_TLS_PIN", "") or next(stored, "")
    try:
        return pins.parse(found) if found else ""
    except ValueError as error:
        raise CredentialsError(f"DC_TLS_PIN={error}") from error


def files(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Where credentials are looked for: the user's own file, then that of a master under DC_HOME."""
    config = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or Path.home(), ".config"))
    return [config / "dockercomp" / "credentials.json", default_home(environ) / "credentials.json"]


def file_of(url: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file whose credentials are for the master at `url`. Raises CredentialsError."""
    return next((path for path, each in _read(environ) if each.url == url.rstrip("/")), None)


def _url_of(environ: Mapping[str, str]) -> str:
    if environ.get("DC_PUBLIC_URL"):
        return environ["DC_PUBLIC_URL"]
    if not any(environ.get(key) for key in ("DC_HOST", "DC_PORT", "DC_SCHEME")):
        return ""
    host, port = environ.get("DC_HOST") or "127.0.0.1", environ.get("DC_PORT") or "8080"
    return f"{environ.get('DC_SCHEME') or 'http'}://{host}:{port}"


def _stored(environ: Mapping[str, str]) -> Iterator[Credentials]:
    return (each for _, each in _read(environ))


def _read(environ: Mapping[str, str]) -> Iterator[tuple[Path, Credentials]]:
    for path in files(environ):
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            yield path, Credentials(str(raw["url"]).rstrip("/"), str(raw["token"]), str(raw.get("tls_pin", "")))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise CredentialsError(f'{path} must be JSON like {{"url": "…", "token": "…"}}: {error}') from error


def _missing(url: str, environ: Mapping[str, str]) -> str:
    return (
        f"there is no token for the master at {url}. On the master's own machine server/start writes one to"
        f" {files(environ)[1]}; elsewhere set DC_HOST, DC_PORT and DC_API_TOKEN, or write"
        f' {{"url": "{url}", "token": "…"}} to {files(environ)[0]}'
    )


def _check_plain(url: str, environ: Mapping[str, str]) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname in _LOOPBACK or environ.get("DC_ALLOW_PLAIN_HTTP") == "yes":
        return
    if parts.scheme != "http":
        raise Forbidden(f"{url} is not the address of a master; it begins with http:// or https://")
    raise Forbidden(
        f"{url} is plain HTTP beyond this machine: the token could be read on the way. Use the master's https://"
        " address, or set DC_ALLOW_PLAIN_HTTP=yes if the network is yours"
    )
