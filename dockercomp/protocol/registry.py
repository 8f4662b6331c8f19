"""Images in a registry (the OCI distribution protocol), for both sides: found by name, fetched by digest, and proved.

Whatever a registry or a mirror sends is checked against the digest that asked for it before anything else is done
with it: a manifest, then the config and the layers that it names.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from .errors import DockercompError, Forbidden
from .messages import PART_LIMIT
from .outbound import check_url, session
from .registry_login import Login

LARGEST_MANIFEST = 4 * 2**20
LARGEST_CONFIG = 8 * 2**20
MOST_LAYERS = 500
_TIMEOUT_S = (5.0, 30.0)
"""To connect, and between two bytes: one that is out of reach must not hold up what the master would give."""
_DOCKER_HUB = "docker.io"
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_IMAGES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::\d+)?")
_NAME = re.compile(
    r"([a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)"
    r"(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


class RegistryError(DockercompError):
    """The registry does not have the image, does not answer, or sent something else; the message says which."""


@dataclass(frozen=True)
class Reference:
    """`registry/repository:tag@digest`, as docker writes it."""

    registry: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def wanted(self) -> str:
        return self.digest or self.tag

    def at(self, digest: str) -> str:
        """The reference that is pinned by a manifest's digest."""
        return f"{self.registry}/{self.repository}@{digest}"

    @property
    def url(self) -> str:
        """Of the repository. TLS everywhere but on this machine itself."""
        host = "registry-1.docker.io" if self.registry == _DOCKER_HUB else self.registry
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        scheme = "http" if name in ("localhost", "[::1]") or name.startswith("127.") else "https"
        return f"{scheme}://{host}/v2/{self.repository}"


def parse(name: str) -> Reference:
    """Raises RegistryError. A name without a registry is Docker Hub's, as for docker."""
    first, slash, rest = name.partition("/")
    host = first if slash and (first == "localhost" or "." in first or ":" in first) else ""
    match = _NAME.fullmatch(rest if host else name)
    if match is None or (host and not _HOST.fullmatch(host)):
        raise RegistryError(f"{name!r} is no image's name; write such as registry.example.org/team/tool:1.2")
    repository = match[1] if host or slash else f"library/{match[1]}"
    return Reference(host or _DOCKER_HUB, repository, match[2] or "latest", match[3] or "")


@dataclass(frozen=True)
class Blob:
    """A config or a layer: its digest and its size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class Manifest:
    """One platform's image. `digest` is that of the manifest itself."""

    digest: str
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def size(self) -> int:
        """Bytes that fetching it takes."""
        return self.config.size + sum(layer.size for layer in self.layers)


class Repository:
    """A repository of a registry, over one connection. Raises RegistryError. Not to be shared by threads.

    `private`: whether it, and where it redirects to, may lie in a network of one's own. `count` is told of each byte.
    """

    def __init__(
        self,
        reference: Reference,
        login: Login | None = None,
        *,
        private: bool = False,
        count: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._reference, self._login, self._private, self._count = reference, login, private, count
        self._http = session(allow_private=private, retries=Retry(total=2, backoff_factor=0.3, raise_on_status=False))
        self._bearer = ""

    def close(self) -> None:
        self._http.close()

    def manifest(self, wanted: str, platform: str) -> Manifest:
        """The image of that tag or digest for a platform (`linux/amd64`)."""
        body = self._fetched(f"manifests/{wanted}", LARGEST_MANIFEST, ",".join(_IMAGES + _INDEXES))
        digest = _sha256(body)
        if _DIGEST.fullmatch(wanted) and digest != wanted:
            raise RegistryError(f"{self._reference.registry} sent another manifest than {wanted}: {digest}")
        document = _decoded(body)
        if document.get("mediaType") in _INDEXES or "manifests" in document:
            return self.manifest(_chosen(document, platform), platform)
        return _manifest(document, digest)

    def config(self, blob: Blob) -> bytes:
        """The bytes of an image's config, proved."""
        body = self._fetched(f"blobs/{blob.digest}", LARGEST_CONFIG)
        if _sha256(body) != blob.digest:
            raise RegistryError(f"{self._reference.registry} sent another config than {blob.digest}")
        return body

    def parts(self, blob: Blob) -> Iterator[bytes]:
        """A layer in parts of at most PART_LIMIT. Raises after the last one where its digest is another."""
        found, size = hashlib.sha256(), 0
        with self._get(f"blobs/{blob.digest}") as response:
            while part := self._read(response, min(PART_LIMIT, blob.size + 1 - size)):
                found.update(part)
                size += len(part)
                if size > blob.size:
                    break
                yield part
        if size != blob.size or f"sha256:{found.hexdigest()}" != blob.digest:
            raise RegistryError(f"{self._reference.registry} sent another layer than {blob.digest}")

    def _fetched(self, path: str, most: int, accept: str = "*/*") -> bytes:
        with self._get(path, accept) as response:
            body = self._read(response, most + 1)
        if len(body) > most:
            raise RegistryError(f"{self._reference.registry} sent more than {most} bytes as {path}")
        return body

    def _read(self, response: requests.Response, size: int) -> bytes:
        try:
            part: bytes = response.raw.read(size)
        except (HTTPError, OSError) as error:
            raise RegistryError(f"{self._reference.registry} stopped in mid-transfer: {error}") from error
        self._count(len(part))
        return part

    # --- asking, and being asked who we are ---

    def _get(self, path: str, accept: str = "*/*") -> requests.Response:
        url = f"{self._reference.url}/{path}"
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        response = self._ask(url, headers)
        if response.status_code == 401:
            challenge = response.headers.get("WWW-Authenticate", "")
            response.close()
            response = self._ask(url, headers | self._authorization(challenge))
        if response.status_code != 200:
            raise RegistryError(self._why(response))
        return response

    def _ask(self, url: str, headers: dict[str, str], params: dict[str, str] | None = None) -> requests.Response:
        if self._bearer:
            headers = {"Authorization": self._bearer} | headers
        try:
            check_url(url, allow_private=self._private)
            self._count(len(url) + 512)
            return self._http.get(url, headers=headers, params=params, timeout=_TIMEOUT_S, stream=True)
        except Forbidden as error:
            raise RegistryError(f"{self._reference.registry} may not be spoken to: {error}") from error
        except requests.RequestException as error:
            raise RegistryError(f"{self._reference.registry} does not answer: {error}") from error

    def _authorization(self, challenge: str) -> dict[str, str]:
        self._bearer = ""
        basic = {"Authorization": self._login.basic} if self._login else {}
        if not challenge.lower().startswith("bearer "):
            self._bearer = basic.get("Authorization", "")
            return basic
        words = dict(_CHALLENGE.findall(challenge))
        realm = words.pop("realm", "")
        if self._reference.url.startswith("https:") and not realm.startswith("https://"):
            raise RegistryError(f"{self._reference.registry} asks for credentials to be sent in the clear")
        scope = {"scope": f"repository:{self._reference.repository}:pull"} | words
        with self._ask(realm, basic, scope) as response:
            answer = _decoded(self._read(response, LARGEST_MANIFEST)) if response.status_code == 200 else {}
        token = answer.get("token") or answer.get("access_token")
        self._bearer = f"Bearer {token}" if isinstance(token, str) else ""
        return {"Authorization": self._bearer} if self._bearer else {}

    def _why(self, response: requests.Response) -> str:
        name, status = f"{self._reference.registry}/{self._reference.repository}", response.status_code
        response.close()
        if status in (401, 403):
            known = "does not accept the credentials" if self._login else "wants credentials, and there are none for it"
            return f"{self._reference.registry} {known} (docker login {self._reference.registry})"
        if status == 404:
            return f"{name} has no {self._reference.wanted}"
        return f"{self._reference.registry} answers with status {status}"


def _chosen(index: dict[str, Any], platform: str) -> str:
    """The digest of the platform's manifest in an index."""
    there = []
    for entry in index.get("manifests") or ():
        of = entry.get("platform") or {}
        there.append(f"{of.get('os')}/{of.get('architecture')}")
        if there[-1] == platform and _DIGEST.fullmatch(str(entry.get("digest"))):
            return str(entry["digest"])
    raise RegistryError(f"the image is not made for {platform}, only for {', '.join(there) or 'nothing'}")


def _manifest(document: dict[str, Any], digest: str) -> Manifest:
    layers = document.get("layers")
    if not isinstance(layers, list) or len(layers) > MOST_LAYERS:
        raise RegistryError("the registry's manifest names no layers, or too many")
    return Manifest(digest, _blob(document.get("config")), tuple(_blob(layer) for layer in layers))


def _blob(found: Any) -> Blob:
    digest, size = (found.get("digest"), found.get("size")) if isinstance(found, dict) else (None, None)
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
        raise RegistryError("the registry's manifest names a config or a layer without a digest")
    return Blob(digest, size)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RegistryError("the registry sent something that is not a manifest") from error
    if not isinstance(document, dict):
        raise RegistryError("the registry sent something that is not a manifest")
    return document


def _sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()
