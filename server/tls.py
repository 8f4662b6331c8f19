"""The certificate of a master that speaks TLS itself: made where none is given, and its fingerprints."""

import base64
import hashlib
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path

from dockercomp.machine.home import write_private

_DAYS = 3650
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


class CertificateError(RuntimeError):
    """A certificate or key that cannot be used, or made; the message names the file and says what to do."""


def self_signed(folder: Path, names: Iterable[str]) -> tuple[Path, Path]:
    """Certificate and key in `folder`, made for these host names and addresses where they are not there yet: those who
    pinned it keep their trust over restarts. Raises CertificateError."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if certificate.exists() and key.exists():
        return certificate, key
    if shutil.which("openssl") is None:
        raise CertificateError("making a certificate needs the program openssl: install the package openssl")
    alternatives = ",".join(dict.fromkeys(_alternative(name) for name in names if name))
    new = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", str(_DAYS))
    named = ("-subj", "/CN=dockerComp master", "-addext", f"subjectAltName={alternatives}")
    made = _openssl("req", *new, *named, "-keyout", "-", "-out", "-")
    found = _CERTIFICATE.search(made)
    assert found is not None
    write_private(key, made.replace(found[0], "").encode())
    write_private(certificate, found[0].encode())
    return certificate, key


def check(certificate: Path, key: Path) -> None:
    """Raises CertificateError where these two cannot serve."""
    for name, file in (("DC_TLS_CERT", certificate), ("DC_TLS_KEY", key)):
        if not file.is_file():
            raise CertificateError(f"{name}={file}: there is no such file")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        raise CertificateError(f"{certificate} and {key} are not a certificate and its key: {error}") from error


def fingerprint(certificate: Path) -> str:
    """What callers pin: `sha256:` and the digest of the file's first certificate. Raises CertificateError."""
    return f"sha256:{hashlib.sha256(ssl.PEM_cert_to_DER_cert(_first(certificate))).hexdigest()}"


def curl_pin(certificate: Path) -> str:
    """The same as curl pins it, by the public key: `sha256//BASE64`. Raises CertificateError."""
    public = _openssl("x509", "-noout", "-pubkey", given=_first(certificate))
    body = base64.b64decode("".join(line for line in public.splitlines() if not line.startswith("-----")))
    return f"sha256//{base64.b64encode(hashlib.sha256(body).digest()).decode()}"


def _first(certificate: Path) -> str:
    found = _CERTIFICATE.search(certificate.read_text(encoding="utf-8"))
    if found is None:
        raise CertificateError(f"{certificate}: holds no certificate in PEM form")
    return found[0]


def _alternative(name: str) -> str:
    try:
        return f"IP:{ip_address(name.strip('[]'))}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str, given: str = "") -> str:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CertificateError(f"openssl {arguments[0]} failed: {done.stderr.strip()[-500:]}")
    return done.stdout
