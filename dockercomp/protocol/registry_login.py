"""The credentials of a docker login: `config.json` as docker writes it, read and never passed on."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "registry-1.docker.io")


class BadLogin(ValueError):
    """The file of credentials cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Login:
    basic: str
    """The Authorization header."""

    def __repr__(self) -> str:
        return "Login(…)"


def login_file(named: str, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that was named (DC_REGISTRY_AUTH), else where docker keeps its own."""
    if named:
        return Path(named).expanduser()
    return Path(environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"


def logins(file: Path) -> dict[str, Login]:
    """Credentials by registry; none where there is no file. Raises BadLogin."""
    try:
        mode, text = file.stat().st_mode, file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadLogin(f"{file} cannot be read: {error}") from error
    if mode & 0o077:
        raise BadLogin(f"{file} holds passwords and others may read it: chmod 600 {file}")
    try:
        found = json.loads(text).get("auths") or {}
        return {_host(name): login for name, entry in found.items() if (login := _login(entry))}
    except (ValueError, AttributeError, binascii.Error) as error:
        raise BadLogin(f"{file} is not what docker login writes: {error}") from error


def _host(name: str) -> str:
    if name in _DOCKER_HUB:
        return "docker.io"
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _login(entry: Mapping[str, str]) -> Login | None:
    """None for an entry whose password a credential helper keeps."""
    if not entry.get("auth"):
        return None
    base64.b64decode(entry["auth"], validate=True)
    return Login(f"Basic {entry['auth']}")
