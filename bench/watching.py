"""A browser with a page of the dashboard open: it logs in by a link and fetches the page's live parts as htmx does."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import urljoin

import requests

from bench.installation import Installation

_PART = re.compile(r'hx-get="([^"]+)"')
_TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')
_EVERY_S = 1.0


@contextmanager
def watched(installation: Installation, path: str) -> Iterator[None]:
    """The page at `path` is open meanwhile. Raises RuntimeError where it cannot be seen."""
    stop = threading.Event()
    with requests.Session() as session:
        session.trust_env = False
        _log_in(installation, session)
        address = urljoin(installation.url, path)
        page = session.get(address, timeout=30)
        parts = [urljoin(address, unescape(part)) for part in _PART.findall(page.text)]
        if page.status_code != 200 or not parts:
            raise RuntimeError(f"{address} answers {page.status_code}, with {len(parts)} live parts")

        def look() -> None:
            while not stop.wait(_EVERY_S):
                for part in parts:
                    session.get(part, timeout=30)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)


def _log_in(installation: Installation, session: requests.Session) -> None:
    with installation.client() as client:
        link = client.login_link()
    found = _TOKEN.search(session.get(link, timeout=30).text)
    answer = session.post(link, data={"csrf_token": found[1] if found else ""}, headers={"Referer": link}, timeout=30)
    if answer.status_code != 200:
        raise RuntimeError(f"logging in by a link answers {answer.status_code}")
