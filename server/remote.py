"""Inputs that are URLs, read by the master: by HTTP Range, and only as long as they stay what was submitted."""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from urllib3.util import Retry

from dockercomp.protocol.errors import Forbidden, InvalidJob, Unavailable
from server.outbound import check_url, session

_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")
_TIMEOUT_S = 30.0
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Remote:
    """What a URL gives now. `url` is where redirects led."""

    size: int
    etag: str


def look(url: str, *, private: bool) -> Remote:
    """Size and ETag of what a URL gives. Raises InvalidJob where it cannot be read by ranges."""
    try:
        response = _get(url, 0, 1, "", private=private)
    except (Forbidden, requests.RequestException) as error:
        raise InvalidJob(f"{url} cannot be read: {error}") from error
    where = _RANGE.match(response.headers.get("Content-Range", ""))
    if response.status_code == 416 or (response.status_code == 200 and response.headers.get("Content-Length") == "0"):
        raise InvalidJob(f"{url} is empty")
    if response.status_code != 206 or where is None:
        raise InvalidJob(
            f"{url} cannot be read in parts: it answers a Range request with status {response.status_code};"
            " download it and give the file as INPUT"
        )
    etag = response.headers.get("ETag", "")
    return Remote(int(where[3]), "" if etag.startswith("W/") else etag)


class RemoteReader:
    """A URL read at any place. Raises Unavailable where it does not answer, InvalidJob where it changed."""

    def __init__(self, url: str, size: int, etag: str, *, private: bool) -> None:
        self._url, self._etag, self._private = url, etag, private
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            response = _get(self._url, offset, offset + length, self._etag, private=self._private)
        except requests.RequestException as error:
            raise Unavailable(f"{self._url} does not answer: {error}") from error
        except Forbidden as error:
            raise InvalidJob(f"{self._url} may not be read: {error}") from error
        where = _RANGE.match(response.headers.get("Content-Range", ""))
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable(f"{self._url} answers with status {response.status_code}")
        if response.status_code != 206 or where is None or (int(where[1]), int(where[3])) != (offset, self.size):
            raise InvalidJob(f"{self._url} changed since the job was submitted (status {response.status_code})")
        if len(response.content) != length:
            raise Unavailable(f"{self._url} sent {len(response.content)} bytes of {length}")
        return response.content


def _get(url: str, start: int, stop: int, etag: str, *, private: bool) -> requests.Response:
    """The bytes [start, stop); each redirect is checked like the URL itself. Raises Forbidden, RequestException."""
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    if etag:
        headers["If-Match"] = etag
    retry = Retry(total=2, status_forcelist=(429, 502, 503, 504), backoff_factor=0.3, raise_on_status=False)
    with session(allow_private=private, retries=retry) as http:
        for _ in range(_MOST_REDIRECTS):
            check_url(url, allow_private=private)
            response = http.get(url, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True)
            if response.status_code not in _REDIRECTS:
                if response.status_code == 206:
                    response._content = response.raw.read(stop - start)
                return response
            url = urljoin(url, response.headers.get("Location", ""))
            response.close()
    raise Forbidden("it redirects too often")
