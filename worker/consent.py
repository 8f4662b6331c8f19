"""What the volunteer consents to beyond the locked default, and whose work it runs: keys of `configuration`. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from dockercomp.machine.configuration import ConfigurationError
from dockercomp.protocol.orders import CAPABILITIES, DEVICES, JobOrder, Want, wants_of
from dockercomp.protocol.signing import names_key

Signers = Literal["master", "both"]
WANTS: tuple[Want, ...] = get_args(Want)
SIGNERS: tuple[Signers, ...] = get_args(Signers)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
Hindrances = tuple[tuple[Want, str], ...]
"""Wants that this machine cannot bound, each with the reason, whatever the volunteer allows."""
KEY = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")
"""A public key, or its fingerprint."""


@dataclass(frozen=True)
class Consent:
    """The default is the locked one: nothing beyond it, and whoever the master lets submit."""

    signers: Signers = "master"
    scientists: tuple[str, ...] = ()
    """Names, keys or fingerprints; where there are any, only these scientists' work is run."""
    allows: tuple[Want, ...] = ()
    hindered: Hindrances = ()

    @property
    def needs_scientist(self) -> bool:
        """Whether an order must be signed by its scientist too."""
        return self.signers == "both" or bool(self.scientists)

    @property
    def granted(self) -> list[Want]:
        """What is allowed and can be bounded here: what the master is told."""
        hindered = dict(self.hindered)
        return [want for want in WANTS if want in self.allows and want not in hindered]


LOCKED = Consent()


def read(values: Mapping[str, str]) -> Consent:
    """DC_REQUIRE_SIGNATURES, DC_SCIENTISTS and DC_ALLOW. Raises ConfigurationError."""
    given = values.get("DC_REQUIRE_SIGNATURES") or "master"
    signers = next((each for each in SIGNERS if each == given), None)
    if signers is None:
        raise ConfigurationError(f"DC_REQUIRE_SIGNATURES={given}: must be master or both.")
    scientists = _words(values.get("DC_SCIENTISTS", ""))
    for word in scientists:
        if not (KEY if word.startswith("sha256:") else _NAME).fullmatch(word):
            raise ConfigurationError(
                f"DC_SCIENTISTS={word}: must be scientists' names, or fingerprints of their keys (sha256: and 64"
                " hex digits, as `dockercomp key list` prints them), with commas between."
            )
    return Consent(signers=signers, scientists=scientists, allows=_wants(values.get("DC_ALLOW", "")))


def _wants(text: str) -> tuple[Want, ...]:
    words = [word for word in _words(text) if word != "none"]
    unknown = [word for word in words if word not in WANTS]
    if unknown:
        raise ConfigurationError(f"DC_ALLOW={unknown[0]}: must be none, or some of {', '.join(WANTS)}.")
    return tuple(want for want in WANTS if want in words)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


def is_listed(consent: Consent, name: str, key: str) -> bool:
    """Whether DC_SCIENTISTS has the scientist's name, key or fingerprint."""
    # A scientist may not be named like a key: the word would stand for the key alone.
    return any((word == name and not KEY.fullmatch(word)) or names_key(word, key) for word in consent.scientists)


def is_listed_by_key(consent: Consent, key: str) -> bool:
    """Whether DC_SCIENTISTS has this very key, not only a name."""
    return any(names_key(word, key) for word in consent.scientists)


def objection(consent: Consent, order: JobOrder) -> str:
    """Why the volunteer does not consent to what the job wants, for the scientist; empty where it does."""
    wants = order.wants
    strange = [each for each in wants.capabilities if each not in CAPABILITIES]
    strange += [each for each in wants.devices if each not in DEVICES]
    if strange:
        return f"the job wants {strange[0]}, which no volunteer can allow"
    for want in wants_of(wants, order.resources.disk):
        if want not in consent.allows:
            return (
                f"the job wants {said(want, order)}, which this volunteer does not allow; the volunteer can, with"
                f" DC_ALLOW={want}"
            )
        if want in dict(consent.hindered):
            return f"the job wants {said(want, order)}, which cannot be given here: {dict(consent.hindered)[want]}"
    return ""


def said(want: Want, order: JobOrder) -> str:
    """The want in words."""
    return {
        "network": "the network",
        "disk": f"{order.resources.disk / 2**30:.3g} GiB of disk",
        "device": f"the device {', '.join(order.wants.devices)}",
        "writable_root": "a writable root",
        "capabilities": f"the capabilities {', '.join(order.wants.capabilities)}",
    }[want]


def sentences(consent: Consent) -> list[str]:
    """What is consented to, for the volunteer."""
    whose = "any scientist's" if not consent.scientists else f"the work of {', '.join(consent.scientists)} alone"
    signed = "signed by the master and by its scientist" if consent.needs_scientist else "signed by the master"
    granted = ", ".join(consent.granted).replace("_", " ") or "nothing beyond the locked default"
    found = [f"Runs {whose}, {signed}." if consent.scientists else f"Runs {whose} work, {signed}."]
    found.append(f"Jobs may have {granted}.")
    return found + [f"Not {want.replace('_', ' ')}, though DC_ALLOW names it: {why}." for want, why in consent.hindered]


def weakness(consent: Consent) -> str:
    """What the volunteer may not have meant; empty where nothing."""
    if consent.signers == "both" and not consent.scientists:
        return "both signatures are demanded, but of any scientist: a thief of the master's key could make one up"
    return ""
