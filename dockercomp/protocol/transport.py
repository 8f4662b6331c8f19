"""How the routes are spoken over HTTP, the same for workers and scientists: one connection, retries, checked parts.

The only place that decides what may be retried. Every request of ours is safe to repeat, so a lost answer, a refused
connection, 429, 502, 503 and 504 are tried again with growing pauses and jitter (urllib3's Retry, which honours
Retry-After); anything else is an answer.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from . import pins, routes
from .errors import ChecksumMismatch, DockercompError, Unavailable, error_of
from .messages import PART_LIMIT
from .parts import Parts, content_digest
from .views import BlobStatus, DigestList

T = TypeVar("T")

_CONTENT_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")
_PART_ATTEMPTS = 3
ANSWER_LIMIT = 128 * 1024 * 1024
"""Bytes of an answer that is read whole: the largest, a sync's, has some tens of MiB of leases and inputs."""
_AROUND = 1024
"""Bytes of a request's and its answer's headers, about."""


class _PinnedAdapter(HTTPAdapter):
    """Trusts the one certificate that is pinned, whoever signed it; also through a proxy, and whatever the environment
    says of authorities."""

    def __init__(self, pin: str, **options: Any) -> None:
        self._trust = {"cert_reqs": "CERT_NONE", "assert_fingerprint": pins.digits(pin)}
        super().__init__(**options)

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> tuple[Any, Any]:
        where, trust = super().build_connection_pool_key_attributes(request, True, cert)
        trust.pop("ca_certs", None)
        trust.pop("ca_cert_dir", None)
        return where, {**trust, **self._trust}

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The pool that was chosen has its trust already."""


class Connection:
    """A keep-alive connection to one master. Not to be shared by threads that call at the same time.

    `token` is sent as `Authorization: Bearer`. `retries` 0 makes a lost master fail at once (Unavailable). `pin`, the
    fingerprint of a certificate, is trusted alone. Proxies of the environment (HTTPS_PROXY, NO_PROXY) are used, but
    for loopback.
    Raises ValueError for a `pin` that is none, or that plain HTTP would pass by.
    """

    def __init__(self, url: str, token: str = "", *, retries: int = 4, timeout: float = 30.0, pin: str = "") -> None:
        if pin and not url.startswith("https://"):
            raise ValueError(f"{url} is plain HTTP, and a certificate is pinned: use the master's https:// address")
        self.url = url.rstrip("/")
        self.count: Callable[[int], None] = lambda _: None
        """Told of the bytes of each request and answer, bodies and about what is around them."""
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = not _is_loopback(self.url)  # a proxy's loopback is another machine
        self._session.headers["Accept-Encoding"] = "identity"  # nothing is unpacked here, so nothing can swell
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"
        retry = Retry(
            total=retries,
            allowed_methods=None,
            status_forcelist=(429, 502, 503, 504),
            backoff_factor=0.3,
            backoff_max=10,
            backoff_jitter=0.3,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry, pool_maxsize=4))
        if pin:
            self._session.mount("https://", _PinnedAdapter(pin, max_retries=retry, pool_maxsize=4))

    def close(self) -> None:
        self._session.close()

    def request(
        self,
        name: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        timeout: float | None = None,
        **parts: str,
    ) -> requests.Response:
        """Call the route `name`; with `stream` the answer's body is still to be read.

        `timeout`: seconds to wait for the answer, where that is not the connection's own. Raises the DockercompError
        that the answer stands for, Unavailable without one, DockercompError for one that cannot be a master's.
        """
        route = routes.BY_NAME[name]
        url = self.url + route.url(**{key: quote(value, safe="") for key, value in parts.items()})
        try:
            response = self._session.request(
                route.method,
                url,
                data=body,
                params=dict(params) if params else None,
                headers=dict(headers) if headers else None,
                timeout=timeout or self._timeout,
                stream=True,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise Unavailable(f"no answer from {self.url}: {_reason(error)}") from error
        self.count(_AROUND + len(body or b""))
        self._check_kind(response)
        if not stream or response.status_code >= 400:
            response._content = self._body(response, ANSWER_LIMIT)  # as requests itself keeps it, but bounded
        if response.status_code >= 400:
            retry_after = response.headers.get("Retry-After", "")
            raise error_of(
                response.status_code,
                response.content,
                float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
            )
        return response

    def call(self, name: str, answer: type[T], message: object = None, **options: Any) -> T:
        """Send `message` as JSON and read the answer as `answer`. Raises as `request` does."""
        headers = dict(options.pop("headers", None) or {})
        body = None
        if message is not None:
            body = msgspec.json.encode(message)
            headers["Content-Type"] = "application/json"
        response = self.request(name, body=options.pop("body", body), headers=headers, **options)
        try:
            return msgspec.json.decode(response.content, type=answer)
        except msgspec.DecodeError as error:
            raise DockercompError(f"{self.url} answered something that is not ours: {error}") from error

    def read_parts(
        self, name: str, *, start: int = 0, params: Mapping[str, str] | None = None, **parts: str
    ) -> Iterator[bytes]:
        """The bytes behind a ranged route from `start` to its end, in checked parts of at most PART_LIMIT.

        A part whose checksum differs is fetched again; ChecksumMismatch after three times.
        """
        offset, total = start, None
        while total is None or offset < total:
            part, total = self._part(name, offset, {"params": params, **parts})
            offset += len(part)
            if part:
                yield part
            elif offset < total:
                raise ChecksumMismatch(f"{name}: an empty part at byte {offset} of {total}")

    def _part(self, name: str, offset: int, options: Mapping[str, Any]) -> tuple[bytes, int]:
        for _ in range(_PART_ATTEMPTS):
            wanted = {"Range": f"bytes={offset}-{offset + PART_LIMIT - 1}"}
            response = self.request(name, headers=wanted, stream=True, **options)
            data = self._body(response, PART_LIMIT)
            where = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
            total = int(where[3]) if where else len(data)
            if response.headers.get("Content-Digest") == content_digest(data) and (
                where is None or int(where[1]) == offset
            ):
                return data, total
        raise ChecksumMismatch(
            f"{name}: the part at byte {offset} arrived with a wrong checksum {_PART_ATTEMPTS} times"
        )

    def _check_kind(self, response: requests.Response) -> None:
        """Raises DockercompError for an answer that no master gives: compressed, or leading elsewhere."""
        packed = response.headers.get("Content-Encoding", "identity")
        if packed != "identity" or 300 <= response.status_code < 400:
            response.close()
            where = response.headers.get("Location", "")
            what = f"leads to {where}; use the master's own address" if where else f"answered in the form {packed}"
            raise DockercompError(f"{self.url} {what}")

    def _body(self, response: requests.Response, most: int) -> bytes:
        """At most `most` bytes, in one go: `content` would copy them together from thousands of pieces."""
        try:
            body: bytes = response.raw.read(most + 1, decode_content=False)
        except HTTPError as error:
            raise Unavailable(f"no answer from {self.url}: {_reason(error)}") from error
        if len(body) > most:
            response.close()
            raise DockercompError(f"{self.url} answered more than {most >> 20} MiB at once; nothing was kept")
        self.count(len(body))
        return body

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Those of at most 10,000 blobs that the master does not have."""
        return self.call("blobs_missing", DigestList, DigestList(digests=list(digests))).digests

    def upload(
        self,
        digest: str,
        size: int,
        source: IO[bytes],
        told: Callable[[int], None] = lambda _: None,
        *,
        awaited: bool = False,
    ) -> None:
        """Upload the `size` bytes of `source` as the blob `digest`, from where an earlier upload stopped.

        `told` gets the bytes that each part brought, first those that an earlier upload had brought. Where the master
        `awaited` it, how much of it is there is not asked first. Raises ChecksumMismatch where the bytes are not those
        of the digest; the master has dropped them then.
        """
        status = BlobStatus(digest=digest, offset=0, complete=False)
        if not (awaited and size):
            status = self.call("blob_status", BlobStatus, digest=digest, params={"size": size})
        told(status.offset)
        attempts = 0
        with Parts(source, size) as parts:
            while not status.complete:
                before, part = status.offset, parts.at(status.offset)
                status = self.call(
                    "blob_put",
                    BlobStatus,
                    digest=digest,
                    params={"offset": before, "size": size},
                    body=part.data,
                    headers={"Content-Digest": part.digest, "Content-Type": "application/octet-stream"},
                )
                told(status.offset - before)
                attempts = attempts + 1 if status.offset <= before and not status.complete else 0
                if attempts >= _PART_ATTEMPTS:
                    raise ChecksumMismatch(f"upload of {digest}: no progress at byte {before} of {size}")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _reason(error: BaseException) -> str:
    """The innermost cause, which is what a person can act on (`Connection refused`)."""
    inner: BaseException = error
    while inner.__cause__ or inner.__context__:
        inner = inner.__cause__ or inner.__context__  # type: ignore[assignment]
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
