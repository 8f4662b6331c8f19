"""Images from a real docker-registry on loopback with credentials; and from mirrors that lie."""

import base64
import json
import secrets
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests

from dockercomp.client import Client
from dockercomp.machine.home import instance_label
from dockercomp.machine.image_archive import archive_pin
from dockercomp.protocol.errors import InvalidJob
from dockercomp.protocol.messages import PART_LIMIT
from dockercomp.protocol.orders import ImagePin
from dockercomp.protocol.registry import RegistryError, Repository, parse
from dockercomp.protocol.registry_login import BadLogin, Login, logins
from server.store.blobs import DirectoryBlobs
from tests.installer.test_rootless import CAT
from tests.integration.masters import RunningMaster, free_port, running_master
from tests.integration.test_engine import docker
from tests.integration.test_images import Parcel, engine, images, parcel, parcels, spooled
from tests.integration.test_worker_daemon import Worker
from tests.waiting import wait_until
from worker.disk import NoRoom
from worker.engine import Engine
from worker.images import ImageStore
from worker.ledger import Ledger, NetworkUsedUp
from worker.registry import Registries

__all__ = ["engine", "parcel", "parcels"]

USER, PASSWORD = "lab", "right"
_BCRYPT = "lab:$2y$05$GtOBejB25DN0QjdUhgfIjeYSjTK6TOpAPB8OvgnlLsrmM9lcG8ffe\n"
"""What htpasswd -B makes of USER and PASSWORD."""
_CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {root}/data}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: here, path: {root}/htpasswd}}}}
"""


class RealRegistry:
    """Debian's docker-registry as a process, and a docker login for it."""

    def __init__(self, root: Path) -> None:
        self.root, self.host = root, f"127.0.0.1:{free_port()}"
        (root / "htpasswd").write_text(_BCRYPT)
        (root / "config.yml").write_text(_CONFIG.format(root=root, port=self.host.rpartition(":")[2]))
        self.process = subprocess.Popen(
            ["docker-registry", "serve", root / "config.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, 30)
        self.auth = auth_file(root / "docker", self.host)

    def _answers(self) -> bool:
        try:
            return requests.get(f"http://{self.host}/v2/", timeout=5).status_code == 401
        except requests.ConnectionError:
            return False

    def push(self, parcel: Parcel, repository: str) -> ImagePin:
        """Push the image and take it out of the engine again; where it is."""
        name = f"{self.host}/{repository}:1"
        (self.root / "saved.tar").write_bytes(parcel.content)
        docker("load", "-i", str(self.root / "saved.tar"))
        docker("tag", parcel.name, name)
        docker("--config", str(self.auth.parent), "push", "-q", name)
        docker("rmi", name, parcel.name)
        reference = parse(name)
        found = Repository(reference, login(), private=True).manifest("1", parcel.pin.platform)
        return msgspec.structs.replace(parcel.pin, source=reference.at(found.digest))


def login() -> Login:
    return Login("Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def auth_file(folder: Path, *hosts: str, password: str = PASSWORD) -> Path:
    """As docker login writes it."""
    folder.mkdir(exist_ok=True)
    entry = {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}
    path = folder / "config.json"
    path.write_text(json.dumps({"auths": dict.fromkeys(hosts, entry)}))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegistry]:
    found = RealRegistry(tmp_path_factory.mktemp("registry"))
    yield found
    found.process.terminate()
    found.process.wait(30)


Make = Callable[..., ImageStore]


@pytest.fixture
def store(engine: Engine, tmp_path: Path) -> Iterator[Make]:
    """Makes an image store with a login file and limits."""
    made: list[ImageStore] = []

    def make(auth: Path | str, reach: Any = "public", network: int = 0, disk: int = 0) -> ImageStore:
        ledger = Ledger(tmp_path / "home", network)
        made.append(images(engine, tmp_path / "home", disk, Registries(str(auth), reach, ledger)))
        return made[-1]

    yield make
    for each in made:
        each.remove_all()
    assert spooled(tmp_path / "home") == []


def repository() -> str:
    return f"team/{secrets.token_hex(4)}"


def test_it_is_pulled_by_digest_with_the_volunteers_own_login(
    registry: RealRegistry, store: Make, parcel: Parcel, engine: Engine, tmp_path: Path
) -> None:
    pin = registry.push(parcel, repository())
    found = store(registry.auth).ensure(pin, parcel.fetch)
    assert parcel.fetches == [], "the master was not asked"
    assert engine.image_id(pin.config_digest) == found
    assert docker("image", "inspect", "-f", "{{.RepoTags}}", found).startswith(f"[dockercomp-{engine.instance}/")
    assert Ledger(tmp_path / "home").used() >= 0


@pytest.mark.parametrize("password", ["", "wrong"])
def test_without_credentials_it_comes_from_the_master(
    registry: RealRegistry, store: Make, parcel: Parcel, tmp_path: Path, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    pin = registry.push(parcel, repository())
    auth = auth_file(tmp_path / "auth", registry.host, password=password) if password else "/nonexistent"
    store(auth, "any").ensure(pin, parcel.fetch)
    assert parcel.fetches == ["once"]
    assert f"docker login {registry.host}" in caplog.text


def test_a_registry_that_does_not_answer_is_passed_over(store: Make, parcel: Parcel) -> None:
    pin = msgspec.structs.replace(parcel.pin, source=f"127.0.0.1:{free_port()}/team/tool@sha256:{'0' * 64}")
    store("", "any").ensure(pin, parcel.fetch)
    assert parcel.fetches == ["once"]


def test_a_registry_in_the_volunteers_own_network_is_not_spoken_to_unless_logged_in(
    registry: RealRegistry, store: Make, parcel: Parcel, caplog: pytest.LogCaptureFixture
) -> None:
    pin = registry.push(parcel, repository())
    store("/nonexistent", "public").ensure(pin, parcel.fetch)
    assert parcel.fetches == ["once"] and "may not be spoken to" in caplog.text


def test_a_source_without_a_digest_is_never_asked(registry: RealRegistry, store: Make, parcel: Parcel) -> None:
    pin = msgspec.structs.replace(parcel.pin, source=f"{registry.host}/team/tool:1")
    store(registry.auth).ensure(pin, parcel.fetch)
    assert parcel.fetches == ["once"]


def test_the_ceilings_hold_for_what_a_registry_sends(
    registry: RealRegistry, store: Make, parcels: Callable[..., Parcel], engine: Engine
) -> None:
    parcel = parcels(3_000_000)
    pin = registry.push(parcel, repository())
    with pytest.raises(NoRoom, match="DC_DISK"):
        store(registry.auth, disk=2_000_000).ensure(pin, parcel.fetch)
    with pytest.raises(NetworkUsedUp):
        store(registry.auth, network=PART_LIMIT).ensure(pin, parcel.fetch)
    assert engine.image_id(pin.config_digest) is None and parcel.fetches == []


# --- mirrors that lie ---


class Mirror:
    """Passes a registry's answers on, but for those that `lies` names by the end of their path."""

    def __init__(self, registry: RealRegistry) -> None:
        self.lies: dict[str, bytes] = {}
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = {"Authorization": login().basic, "Accept": self.headers["Accept"]}
                answer = requests.get(f"http://{registry.host}{self.path}", headers=wanted, timeout=10)
                body = next((lie for end, lie in mirror.lies.items() if self.path.endswith(end)), answer.content)
                self.send_response(200 if body else answer.status_code)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", self.path.rpartition("/")[2])
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirror(registry: RealRegistry) -> Iterator[Mirror]:
    found = Mirror(registry)
    yield found
    found.stop()


def manifest_of(registry: RealRegistry, pin: ImagePin) -> bytes:
    reference = parse(pin.source)
    accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json", "Authorization": login().basic}
    return requests.get(f"{reference.url}/manifests/{reference.digest}", headers=accept, timeout=10).content


@pytest.mark.parametrize("lie", ["none", "manifest", "config", "layer", "longer layer", "cut layer", "nonsense"])
def test_a_mirror_that_lies_is_refused_and_the_master_is_asked(
    registry: RealRegistry, mirror: Mirror, store: Make, parcels: Callable[..., Parcel], engine: Engine, lie: str
) -> None:
    parcel, other = parcels(), parcels()
    pin, wrong = registry.push(parcel, name := repository()), registry.push(other, name)
    body = manifest_of(registry, pin)
    layer = json.loads(body)["layers"][0]
    true_layer = requests.get(
        f"http://{registry.host}/v2/{name}/blobs/{layer['digest']}",
        headers={"Authorization": login().basic},
        timeout=10,
    ).content
    mirror.lies = {
        "none": {},
        "manifest": {parse(pin.source).digest: manifest_of(registry, wrong)},
        "config": {pin.config_digest: b'{"os": "linux", "architecture": "amd64"}'},
        "layer": {layer["digest"]: bytes(layer["size"])},
        "longer layer": {layer["digest"]: true_layer + bytes(1000)},
        "cut layer": {layer["digest"]: true_layer[:-1]},
        "nonsense": {parse(pin.source).digest: b"<html>"},
    }[lie]
    mirrored = msgspec.structs.replace(pin, source=pin.source.replace(registry.host, mirror.host))
    found = store("", "any").ensure(mirrored, parcel.fetch)
    assert parcel.fetches == ([] if lie == "none" else ["once"])
    assert engine.image_id(pin.config_digest) == found
    assert engine.image_id(other.pin.config_digest) is None, "what was not ordered never reached the engine"


def test_an_honest_manifest_of_another_image_than_the_pinned_is_refused(
    registry: RealRegistry, store: Make, parcels: Callable[..., Parcel]
) -> None:
    """The master pins both digests: a manifest's that leads to another image is a lie of whoever wrote the pin."""
    parcel, other = parcels(), parcels()
    pin = msgspec.structs.replace(parcel.pin, source=registry.push(other, repository()).source)
    store(registry.auth).ensure(pin, parcel.fetch)
    assert parcel.fetches == ["once"]


# --- names, logins, tokens ---


@pytest.mark.parametrize(
    ("name", "url", "wanted"),
    [
        ("registry.example.org/team/tool:1.2", "https://registry.example.org/v2/team/tool", "1.2"),
        ("registry.example.org:5000/tool", "https://registry.example.org:5000/v2/tool", "latest"),
        ("localhost:5000/tool:a", "http://localhost:5000/v2/tool", "a"),
        ("127.0.0.1:5000/tool:a", "http://127.0.0.1:5000/v2/tool", "a"),
        ("debian:12", "https://registry-1.docker.io/v2/library/debian", "12"),
        ("grycap/cowsay", "https://registry-1.docker.io/v2/grycap/cowsay", "latest"),
        (f"r.example/a/b@sha256:{'a' * 64}", "https://r.example/v2/a/b", f"sha256:{'a' * 64}"),
    ],
)
def test_names_are_understood_as_docker_does(name: str, url: str, wanted: str) -> None:
    reference = parse(name)
    assert (reference.url, reference.wanted) == (url, wanted)


@pytest.mark.parametrize("name", ["", "UPPER/case", "a//b", "r.example/../x", "r.example/a@md5:00", "a b", "a/b:t:u"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(RegistryError, match="no image's name"):
        parse(name)


def test_a_login_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    file = auth_file(tmp_path / "auth", "https://index.docker.io/v1/", "r.example")
    assert set(logins(file)) == {"docker.io", "r.example"}
    assert PASSWORD not in repr(logins(file))
    file.chmod(0o644)
    with pytest.raises(BadLogin, match=f"chmod 600 {file}"):
        logins(file)
    assert logins(tmp_path / "none") == {}


def test_credentials_are_not_sent_in_the_clear_where_a_registry_asks_for_it() -> None:
    found = Repository(parse("r.example/tool"), login(), private=True)
    with pytest.raises(RegistryError, match="in the clear"):
        found._authorization('Bearer realm="http://evil.example/token",service="r"')


# --- the master's side ---


@pytest.fixture(scope="module")
def master(registry: RealRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMaster]:
    with running_master(tmp_path_factory.mktemp("master"), DC_REGISTRY_AUTH=str(registry.auth)) as found:
        yield found


def test_the_master_resolves_a_tag_once_and_pins_both_digests(
    registry: RealRegistry, master: RunningMaster, store: Make, parcels: Callable[..., Parcel], tmp_path: Path
) -> None:
    parcel, later = parcels(), parcels()
    name = repository()
    pushed = registry.push(parcel, name)
    with Client(master.url, master.admin_token) as client:
        view = client.pull_image(f"{registry.host}/{name}:1")
        assert view.pin.config_digest == parcel.pin.config_digest
        assert view.pin.source == pushed.source, "a moved tag moves no pin"
        registry.push(later, name)
        assert [each.pin for each in client.images() if each.pin.name == view.pin.name] == [view.pin]
    blob = DirectoryBlobs(master.home / "blobs").open(view.archive)
    whole = blob.read_at(0, blob.size)

    def stream() -> Iterator[bytes]:
        yield whole

    assert store(registry.auth).ensure(view.pin, parcel.fetch) and parcel.fetches == []
    elsewhere = images(store(registry.auth)._engine, tmp_path / "other")
    elsewhere._engine.remove_image(view.pin.config_digest)
    assert elsewhere.ensure(view.pin, stream), "what the master keeps is the same image"
    elsewhere.remove_all()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{host}/team/none:1", "has no 1"),
        ("127.0.0.1:1/team/tool:1", "may not be spoken to"),
        ("NO", "no image's name"),
    ],
)
def test_what_cannot_be_pulled_is_said_with_the_reason(
    registry: RealRegistry, master: RunningMaster, name: str, why: str
) -> None:
    with Client(master.url, master.admin_token) as client, pytest.raises(InvalidJob, match=why):
        client.pull_image(name.format(host=registry.host))


JOB = """
name = "copy"
image = "{image}"
[input]
split = "lines"
[map]
command = ["/cat"]
[verify]
policy = "none"
[resources]
memory = "32 MiB"
disk = "8 MiB"
"""


def an_image_with_cat(folder: Path) -> Parcel:
    """One static program, as the engine imports it."""
    (folder / "cat.c").write_text(CAT)
    subprocess.run(["cc", "-static", "-w", "-o", folder / "cat", folder / "cat.c"], check=True)
    name = f"dct-{secrets.token_hex(4)}:latest"
    subprocess.run(["tar", "-C", folder, "-cf", folder / "root.tar", "cat"], check=True)
    docker("import", str(folder / "root.tar"), name)
    docker("save", "-o", str(folder / "saved.tar"), name)
    docker("rmi", name)
    digest, platform = archive_pin(folder / "saved.tar")
    pin = ImagePin(name="cat", config_digest=digest, platform=platform)
    return Parcel(pin, (folder / "saved.tar").read_bytes(), name)


def test_a_job_runs_in_an_image_that_its_worker_pulled_with_its_own_login(
    registry: RealRegistry, master: RunningMaster, tmp_path: Path
) -> None:
    name = f"{registry.host}/{registry.push(an_image_with_cat(tmp_path), repository()).source.split('/', 1)[1]}"
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "job.toml").write_text(JOB.format(image=name))
    (tmp_path / "input").write_text("to be copied\n")
    worker = Worker(master.settings.port)
    worker.env |= {"DC_TOKEN": master.enrolment_token(), "DC_REGISTRY_AUTH": str(registry.auth)}
    try:
        with Client(master.url, master.admin_token) as client:
            client.pull_image(name)
            worker.start("--grace", "0")
            job = client.submit(tmp_path / "job", tmp_path / "input")
            *_, last = job.follow()
            assert last.state == "completed", last
            assert job.result() == b"to be copied\n"
        assert "loaded as" in worker.log() and "so from the master" not in worker.log()
    finally:
        worker.end()
        for tag in docker("images", "-q", f"dockercomp-{instance_label(worker.home)}/*").split():
            docker("rmi", "-f", tag)
