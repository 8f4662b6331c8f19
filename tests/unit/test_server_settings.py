"""The master's settings: every key that is documented is read, changes something, and reaches its other processes."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dockercomp.machine.configuration import ConfigurationError
from server import launch, warnings
from server import settings as settings_module
from server.settings import KEYS, Settings, read

ROOT = Path(__file__).resolve().parents[2]
PIN = f"sha256:{'ab' * 32}"

OTHER = {
    "DC_HOME": "/elsewhere",
    "DC_HOST": "compute.example.org",
    "DC_PORT": "9000",
    "DC_BIND": "::1",
    "DC_SCHEME": "https",
    "DC_PUBLIC_URL": "https://compute.example.org",
    "DC_TLS_CERT": "/c.pem",
    "DC_TLS_KEY": "/k.pem",
    "DC_TLS_SELF_SIGNED": "yes",
    "DC_TLS_PIN": PIN,
    "DC_PROXY_HOPS": "2",
    "DC_WORKERS": "3",
    "DC_THREADS": "5",
    "DC_PRIVATE_URLS": "yes",
    "DC_KEEP_JOBS_DAYS": "7",
    "DC_KEEP_ADDRESSES_DAYS": "8",
    "DC_SMTP": "smtp://user:secret@mail.example.org:587",
    "DC_MAIL_FROM": "lab@example.org",
    "DC_INDEPENDENT": "owner",
    "DC_MONGO_URI": "mongodb://u:p%40@db.example.org/lab",
    "DC_MONGO_HOST": "db.example.org",
    "DC_MONGO_PORT": "27018",
    "DC_MONGO_DB": "lab",
    "U_DB": "lab2",
    "U_USER": "sam",
    "U_PASS": "p@ss 'word",
    "DC_QUOTA_JOBS": "1",
    "DC_QUOTA_STORED": "2GiB",
    "DC_QUOTA_CHUNKS": "3",
    "DC_QUOTA_IMAGES": "4",
    "DC_ALLOW_PLAIN_HTTP": "yes",
    "DC_REGISTRY_AUTH": "/auth.json",
}
BESIDE = {
    "DC_ALLOW_PLAIN_HTTP": {"DC_BIND": "0.0.0.0"},
    "DC_TLS_CERT": {"DC_TLS_KEY": "/k.pem"},
    "DC_TLS_KEY": {"DC_TLS_CERT": "/c.pem"},
    "DC_MONGO_PORT": {"DC_MONGO_HOST": "db.example.org"},
    "U_USER": {"DC_MONGO_HOST": "db.example.org"},
    "U_PASS": {"DC_MONGO_HOST": "db.example.org", "U_USER": "sam"},
}
"""What a key needs beside it to mean something."""


class Watched(dict[str, str]):
    """Notes which keys are asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: object = None) -> object:  # type: ignore[override]
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> str:
        self.asked.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def as_read(environ: Mapping[str, str]) -> Settings | str:
    try:
        return replace(read(environ, Path("/nonexistent")), given={})
    except ConfigurationError as error:
        return str(error)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_a_key_changes_something_and_another_process_reads_the_same(key: str) -> None:
    beside = BESIDE.get(key, {})
    assert as_read({**beside, key: OTHER[key]}) != as_read(beside), f"{key} is not read"
    found = read({**beside, key: OTHER[key]}, Path("/nonexistent"))
    stale = dict.fromkeys(KEYS, "stale")  # what the other process inherits does not count
    assert as_read({**stale, **found.environment()}) == replace(found, given={})


def test_no_other_key_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = [
        Watched(OTHER | {"DC_TLS_SELF_SIGNED": "no"}),
        Watched({}),
        Watched({"DC_MONGO_HOST": "h", "U_USER": "u"}),
    ]
    for values in watched:
        monkeypatch.setattr(settings_module.configuration, "read", lambda *_, values=values: values)
        read({}, Path("/nonexistent"))
    assert set().union(*(values.asked for values in watched)) - {"DC_HOME"} <= KEYS


def documented() -> Iterator[tuple[str, str]]:
    """(section, key) of the repository's own file."""
    section = ""
    for line in (ROOT / "configuration").read_text().splitlines():
        if title := re.match(r"# --- (.+?) -+$", line):
            section = title[1]
        if key := re.match(r"(?:# )?((?:DC|U)_[A-Z_]+)=", line):
            yield section, key[1]


def test_what_is_documented_for_the_master_is_read_by_it() -> None:
    keys = {key for section, key in documented() if section == "the master"}
    assert len(keys) > 15
    assert keys <= KEYS
    assert {key for _, key in documented()} >= KEYS


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"DC_TLS_CERT": "c"}, "go together"),
        ({"DC_TLS_CERT": "c", "DC_TLS_KEY": "k", "DC_TLS_SELF_SIGNED": "yes"}, "choose"),
        ({"DC_TLS_PIN": "sha256:abc"}, "not the fingerprint"),
        ({"DC_TLS_SELF_SIGNED": "ja"}, "must be yes or no"),
        ({"DC_ALLOW_PLAIN_HTTP": "YES", "DC_BIND": "0.0.0.0"}, "must be yes or no"),
        ({"DC_SCHEME": "ftp"}, "must be http or https"),
        ({"DC_HOST": "x'; reboot; '"}, "must be a host name"),
        ({"DC_PUBLIC_URL": "https://x/'; reboot"}, "must be https://HOST"),
        ({"DC_PUBLIC_URL": "https://x.org/compute/"}, "a name of its own"),
        ({"DC_PROXY_HOPS": "many"}, "not a number"),
        ({"DC_BIND": "0.0.0.0"}, "plain HTTP beyond this machine"),
    ],
)
def test_what_is_refused_says_why(values: dict[str, str], said: str) -> None:
    assert said in str(as_read(values))


@pytest.mark.parametrize(
    "values",
    [
        {"DC_TLS_SELF_SIGNED": "yes"},
        {"DC_TLS_CERT": "/c", "DC_TLS_KEY": "/k"},
        {"DC_PUBLIC_URL": "https://x.org", "DC_PROXY_HOPS": "1"},
    ],
)
def test_with_tls_the_master_may_listen_everywhere_and_says_nothing(values: dict[str, str]) -> None:
    found = read({"DC_BIND": "0.0.0.0", **values}, Path("/nonexistent"))
    assert found.url.startswith("https://") and warnings.of_settings(found) == []


def test_plain_http_and_a_proxy_that_is_not_told_of_are_said_loudly() -> None:
    plain = read({"DC_BIND": "0.0.0.0", "DC_ALLOW_PLAIN_HTTP": "yes"}, Path("/nonexistent"))
    assert "plain HTTP at 0.0.0.0" in warnings.of_settings(plain)[0]
    proxied = read({"DC_PUBLIC_URL": "https://x.org"}, Path("/nonexistent"))
    assert "DC_PROXY_HOPS=1" in warnings.of_settings(proxied)[0]


def test_an_address_of_version_6_is_put_in_brackets() -> None:
    assert read({"DC_HOST": "::1"}, Path("/nonexistent")).url == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("bind", "listens", "asked"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0:8080", "127.0.0.1"),
        ("::1", "[::1]:8080", "[::1]"),
        ("[::1]", "[::1]:8080", "[::1]"),
        ("::", "[::]:8080", "[::1]"),
        ("compute.example.org", "compute.example.org:8080", "compute.example.org"),
    ],
)
def test_where_the_master_listens_and_where_it_is_asked_whether_it_is_ready(
    bind: str, listens: str, asked: str
) -> None:
    found = read({"DC_BIND": bind, "DC_ALLOW_PLAIN_HTTP": "yes"}, Path("/nonexistent"))
    assert (found.listens, found.asked_at) == (listens, f"http://{asked}:8080")
    assert found.plain_beyond_loopback == (bind.strip("[]") not in ("127.0.0.1", "::1"))


def test_the_help_of_server_start_tells_every_option() -> None:
    """The script answers --help by itself, before there is anything to ask."""
    said = subprocess.run([ROOT / "server" / "start", "--help"], capture_output=True, text=True, check=True).stdout
    for option in launch.main.params:
        assert any(f" {name}" in said for name in option.opts), option.opts
