"""Pinned certificates: who was told a certificate's fingerprint trusts that certificate, and no authority besides.

A pin is `sha256:` and the SHA-256 of the certificate in DER, in hexadecimal, with or without colons between the bytes.
"""

import re

_PIN = re.compile(r"^sha256:([0-9a-f]{64})$")


def parse(pin: str) -> str:
    """The pin in its one form, `sha256:…` in small letters. Raises ValueError."""
    kind, _, digits = pin.strip().lower().partition(":")
    plain = f"{kind}:{digits.replace(':', '')}"
    if not _PIN.match(plain):
        raise ValueError(f"{pin}: not the fingerprint of a certificate; write sha256: and 64 hexadecimal digits")
    return plain


def digits(pin: str) -> str:
    """The 64 hexadecimal digits of a pin. Raises ValueError."""
    return parse(pin).partition(":")[2]
