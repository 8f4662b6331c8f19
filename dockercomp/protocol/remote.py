"""Inputs that are URLs: read by HTTP Range, and only as long as they stay what was submitted."""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from .errors import Forbidden, InvalidJob, Unavailable
from .outbound import check_url, session

_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")
_TIMEOUT_S = 30.0
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Remote:
    """What a URL gives now."""

    size: int
    etag: str
    """Empty where it is none that tells bytes apart (weak)."""


def look(url: str, *, private: bool, way_out: str = "") -> Remote:
    """Size and ETag of what a URL gives. Raises InvalidJob where it cannot be read by ranges; `way_out` then follows
    where its address may not be spoken to."""
    try:
        with session(allow_private=private, retries=_retry()) as http:
            response = _get(http, url, 0, 1, "", private=private)
    except Forbidden as error:
        raise InvalidJob(f"{url} cannot be read: {error}{way_out}") from error
    except requests.RequestException as error:
        raise InvalidJob(f"{url} cannot be read: {error}") from error
    where = _RANGE.match(response.headers.get("Content-Range", ""))
    if response.status_code == 416 or (response.status_code == 200 and response.headers.get("Content-Length") == "0"):
        raise InvalidJob(f"{url} is empty")
    if response.status_code != 206 or where is None:
        raise InvalidJob(
            f"{url} cannot be read in parts: it answers a Range request with status {response.status_code};"
            " download it and give the file as INPUT"
        )
    return Remote(int(where[3]), _strong(response))


class RemoteReader:
    """A URL read at any place, over one connection. Not to be shared by threads that read at the same time."""

    def __init__(self, url: str, size: int, etag: str, *, private: bool, way_out: str = "") -> None:
        self._url, self._etag, self._private, self._way_out = url, etag, private, way_out
        self._session = session(allow_private=private, retries=_retry())
        self.size = size

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end. Raises Unavailable where it does not answer; InvalidJob where it
        changed, or where its address, or one it redirects to, may not be spoken to."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        try:
            response = _get(self._session, self._url, offset, offset + length, self._etag, private=self._private)
        except Forbidden as error:
            raise InvalidJob(f"{self._url} may not be read: {error}{self._way_out}") from error
        except requests.RequestException as error:
            raise Unavailable(f"{self._url} does not answer: {error}") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable(f"{self._url} answers with status {response.status_code}")
        where = _RANGE.match(response.headers.get("Content-Range", ""))
        same = not self._etag or _strong(response) in ("", self._etag)
        if response.status_code != 206 or where is None or (int(where[1]), int(where[3])) != (offset, self.size):
            raise InvalidJob(f"{self._url} changed since the job was submitted (status {response.status_code})")
        if not same:
            raise InvalidJob(f"{self._url} changed since the job was submitted (another ETag)")
        if len(response.content) != length:
            raise Unavailable(f"{self._url} sent {len(response.content)} bytes of {length}")
        return response.content

    def close(self) -> None:
        self._session.close()


def _strong(response: requests.Response) -> str:
    etag = str(response.headers.get("ETag", ""))
    return "" if etag.startswith("W/") else etag


def _retry() -> Retry:
    return Retry(total=2, status_forcelist=(429, 502, 503, 504), backoff_factor=0.3, raise_on_status=False)


def _get(http: requests.Session, url: str, start: int, stop: int, etag: str, *, private: bool) -> requests.Response:
    """The bytes [start, stop); each redirect is checked like the URL itself. Raises Forbidden, RequestException."""
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
    if etag:
        headers["If-Match"] = etag
    for _ in range(_MOST_REDIRECTS):
        check_url(url, allow_private=private)
        response = http.get(url, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True)
        if response.status_code not in _REDIRECTS:
            _read(response, stop - start)
            return response
        url = urljoin(url, response.headers.get("Location", ""))
        response.close()
    raise Forbidden("it redirects too often")


def _read(response: requests.Response, length: int) -> None:
    """No more of the body than was asked for: a server that ignores Range may have endlessly much."""
    try:
        response._content = response.raw.read(length) if response.status_code == 206 else b""
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(error) from error
    if response.status_code != 206 or response.raw.length_remaining:
        response.close()
    else:
        response.raw.release_conn()
