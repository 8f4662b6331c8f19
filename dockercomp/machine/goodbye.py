"""The last word of a worker that is removed: its master's record of this client ends too. Standard library only."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import ssl
import urllib.request
from pathlib import Path
from typing import Any

from .configuration import ConfigurationError, read

_TIMEOUT_S = 5
_LOOPBACK = re.compile(r"https?://(127\.|localhost|\[::1\])")


def is_due(home: Path) -> bool:
    """Whether this instance has a worker that its master knows."""
    return all(path.exists() for path in _records(home))


def say(home: Path) -> None:
    """Retire this client at its master, which is trusted by its pin where one is configured. A master that does not
    answer, or shows another certificate, holds up no removal: it shows the client as silent, then retires it."""
    identity, status = _records(home)
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError, ConfigurationError):
        known, master = json.loads(identity.read_text()), json.loads(status.read_text())["master"]
        pin = read(home / "configuration", os.environ).get("DC_TLS_PIN", "")
        bearer = {"Authorization": f"Bearer {known['client']}.{known['secret']}"}
        request = urllib.request.Request(f"{master}/api/v1/retire", method="POST", headers=bearer, data=b"")
        _opener(master, pin).open(request, timeout=_TIMEOUT_S).close()


def _records(home: Path) -> tuple[Path, Path]:
    return home / "worker" / "identity.json", home / "worker" / "status.json"


def _opener(master: str, pin: str) -> urllib.request.OpenerDirector:
    direct = [urllib.request.ProxyHandler({})] if _LOOPBACK.match(master) else []
    return urllib.request.build_opener(*direct, *([_PinnedHandler(pin)] if pin else []))


class _PinnedHandler(urllib.request.HTTPSHandler):
    def __init__(self, pin: str) -> None:
        super().__init__()
        self._digits = pin.lower().partition(":")[2].replace(":", "")

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._connection, request)

    def _connection(self, host: str, **options: Any) -> http.client.HTTPSConnection:
        return _PinnedConnection(host, self._digits, **options)


class _PinnedConnection(http.client.HTTPSConnection):
    """Sends nothing to who shows another certificate than the pinned one."""

    def __init__(self, host: str, digits: str, **options: Any) -> None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # the fingerprint decides
        super().__init__(host, context=trust, **options)
        self._digits = digits

    def connect(self) -> None:
        super().connect()
        shown = self.sock.getpeercert(binary_form=True) or b""
        if hashlib.sha256(shown).hexdigest() != self._digits:
            self.close()
            raise ssl.SSLError("this is not the certificate that is pinned")
