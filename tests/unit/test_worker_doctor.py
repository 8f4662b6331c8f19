"""The doctor's judgements."""

from pathlib import Path

import pytest

from dockercomp.machine.docker_host import NoEngineError, NoPermissionError
from worker import status
from worker.ceiling_check import ceilings, login, policy
from worker.consent import LOCKED, Consent
from worker.describe import checks
from worker.doctor import clock, consent_check, disk, engine_missing, engine_version
from worker.limits import MIB
from worker.limits_check import judge
from worker.settings import Settings, read
from worker.tasks import EngineFacts, Reading

FACTS = EngineFacts(version="20.10.24+dfsg1", platform="linux/amd64", cgroup="v1", rootless=False, cpus=2, memory=2**30)


def test_a_clock_an_hour_off_fails_with_the_amount() -> None:
    assert clock(1.0).result == "ok" and clock(-59.0).result == "ok"
    late = clock(-3600.0)
    assert late.result == "FAIL" and "3600 s behind the master's" in late.finding and late.todo


@pytest.mark.parametrize(("version", "result"), [("20.10.24+dfsg1", "ok"), ("28.2.2", "ok"), ("19.03.5", "FAIL")])
def test_an_old_engine_fails(version: str, result: str) -> None:
    facts = EngineFacts(version=version, platform="", cgroup="v2", rootless=False, cpus=1, memory=1)
    assert engine_version(facts).result == result


def test_no_engine_says_which_kind_of_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no permission" in engine_missing(NoPermissionError("x"), tmp_path).finding
    (tmp_path / "dockerd").write_text("#!/bin/sh\n")
    (tmp_path / "dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "does not run" in engine_missing(NoEngineError("x"), tmp_path).finding
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("DC_DOCKER_HOST", f"unix://{tmp_path}/none")
    assert "not installed" in engine_missing(NoEngineError("x"), tmp_path).finding


def test_limits_that_are_not_enforced_fail() -> None:
    first, second = Reading(0.5, 40 * MIB, source="cgroup v1"), Reading(0.25, 56 * MIB, source="cgroup v1")
    assert judge(first, second).result == "ok"
    assert judge(first, first).result == "FAIL"
    unlimited = judge(Reading(), Reading())
    assert unlimited.result == "FAIL" and "read back no limit CPUs and no limit" in unlimited.finding


def test_disk_is_looked_at_where_home_will_be(tmp_path: Path) -> None:
    assert disk(tmp_path / "not" / "yet").finding.endswith(f"free under {tmp_path}/not/yet")


def test_a_failure_is_followed_by_what_to_do() -> None:
    lines = checks([clock(0.0), clock(90.0)]).splitlines()
    assert lines[0].startswith("ok    clock") and lines[1].startswith("FAIL  clock") and "-> set the clock" in lines[2]


def test_what_jobs_may_have_is_said_and_what_cannot_be_bounded_is_a_warning() -> None:
    plain = consent_check(LOCKED, lambda _: ())
    assert plain.result == "ok" and "nothing beyond the locked default" in plain.finding
    hindered = consent_check(Consent(allows=("network",)), lambda _: (("network", "there is no iptables"),))
    assert hindered.result == "warn" and "there is no iptables" in hindered.finding and "DC_ALLOW" in hindered.todo
    loose = consent_check(Consent(signers="both"), lambda _: ())
    assert loose.result == "warn" and "make one up" in loose.finding and "DC_SCIENTISTS" in loose.todo
    tight = consent_check(Consent(signers="both", scientists=("ada",)), lambda _: ())
    assert tight.result == "ok" and "Runs the work of ada alone" in tight.finding


def settings_with(home: Path, **values: str) -> Settings:
    return read({"DC_HOME": str(home), "DC_CONFIGURATION": "/nonexistent", **values})


def test_the_ceiling_is_shown_beside_what_is_used(tmp_path: Path) -> None:
    wide = ceilings(settings_with(tmp_path))
    assert wide.result == "ok" and "no limit set" in wide.finding
    (tmp_path / "worker").mkdir()
    status.write(tmp_path, status.Status(state="idle", disk_used=5 * MIB, network_used=100 * MIB))
    narrow = ceilings(settings_with(tmp_path, DC_DISK="1GiB", DC_NETWORK_PER_DAY="128MiB", DC_HOURS="sat-sun"))
    assert narrow.result == "warn" and "DC_NETWORK_PER_DAY" in narrow.todo
    for part in ("disk 5 MiB used of 1024 MiB", "network 100 MiB in 24 hours of 128 MiB", "Hours: sat-sun"):
        assert part in narrow.finding


def test_a_login_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    found = settings_with(tmp_path, DC_REGISTRY_AUTH=str(file))
    assert "no login" in login(found).finding
    file.write_text('{"auths": {"r.example": {"auth": "YTpi"}}}')
    file.chmod(0o644)
    assert login(found).result == "warn" and "chmod 600" in login(found).finding
    file.chmod(0o600)
    assert "logged in to r.example" in login(found).finding


def test_an_engine_that_enforces_nothing_fails_or_warns_as_the_volunteer_wants() -> None:
    nothing = Reading(source="cgroup v1", cpu_seconds=1.0, memory_used=1)
    refused, warned = judge(nothing, nothing), judge(nothing, nothing, "warn")
    assert (refused.result, warned.result) == ("FAIL", "warn")
    assert "none of them holds" in refused.finding and "DC_UNLIMITED=warn" in refused.todo


def test_rules_that_this_machine_cannot_follow_are_found(tmp_path: Path) -> None:
    nowhere = tmp_path / "root"
    assert policy(settings_with(tmp_path), nowhere).result == "ok"
    hot = policy(settings_with(tmp_path, DC_TEMPERATURE="80"), nowhere)
    assert hot.result == "warn" and "tells no temperature" in hot.finding and hot.todo
    gone = policy(settings_with(tmp_path, DC_HOOK="/nonexistent/hook"), nowhere)
    assert gone.result == "warn" and "No such file" in gone.finding
    hook = tmp_path / "hook"
    hook.write_text("#!/bin/sh\necho not on mondays\nexit 1\n")
    hook.chmod(0o755)
    said = policy(settings_with(tmp_path, DC_HOOK=str(hook)), nowhere)
    assert said.result == "ok" and "says no: not on mondays" in said.finding
