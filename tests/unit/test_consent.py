"""DC_ALLOW, DC_REQUIRE_SIGNATURES and DC_SCIENTISTS, as they are written."""

import pytest

from dockercomp.machine.configuration import ConfigurationError
from worker.consent import LOCKED, Consent, is_listed, read

PRINT = "sha256:" + "a" * 64


def test_a_scientist_named_like_a_key_is_not_that_key() -> None:
    mine = read({"DC_SCIENTISTS": PRINT})
    assert not is_listed(mine, PRINT, "b" * 64)
    assert is_listed(read({"DC_SCIENTISTS": "ada"}), "ada", "b" * 64)


def test_nothing_said_is_the_locked_default() -> None:
    assert read({}) == LOCKED == Consent(signers="master", scientists=(), allows=())
    assert read({"DC_ALLOW": "none", "DC_REQUIRE_SIGNATURES": "", "DC_SCIENTISTS": ""}) == LOCKED


def test_what_is_written_is_read() -> None:
    values = {"DC_ALLOW": "disk, network,", "DC_REQUIRE_SIGNATURES": "both", "DC_SCIENTISTS": f"ada,{PRINT}"}
    assert read(values) == Consent(signers="both", scientists=("ada", PRINT), allows=("network", "disk"))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"DC_ALLOW": "internet"}, "DC_ALLOW=internet: must be none, or some of network, disk"),
        ({"DC_ALLOW": "privileged"}, "must be none, or some of"),
        ({"DC_REQUIRE_SIGNATURES": "none"}, "must be master or both"),
        ({"DC_SCIENTISTS": "sha256:abc"}, "64 hex digits"),
        ({"DC_SCIENTISTS": "ada eve"}, "with commas between"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        read(values)
