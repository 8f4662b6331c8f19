"""What is told of known holes: a package that nobody could look up is never told as sound."""

from tests.advisories import judge

SOUND = {"name": "a", "version": "1", "vulns": []}
HOLED = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_a_known_hole_fails_and_is_named() -> None:
    found = judge({"dependencies": [SOUND, HOLED, UNKNOWN]})
    assert found.failed
    assert "b 2: PYSEC-1, mended in 3" in found.words


def test_what_could_not_be_looked_up_is_said_loudly_and_fails_nothing() -> None:
    for packages in ([UNKNOWN, UNKNOWN], [SOUND, UNKNOWN], []):
        found = judge({"dependencies": packages})
        assert not found.failed
        assert found.words.startswith("NOT CHECKED")
    assert "1 of 2 packages" in judge({"dependencies": [SOUND, UNKNOWN]}).words


def test_sound_packages_are_counted() -> None:
    assert judge({"dependencies": [SOUND]}).words == "ok      pip-audit: 1 locked packages, none with a known hole"
