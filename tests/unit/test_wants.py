"""What a job wants: how the job file says it, and which clients of a pool consent."""

from typing import Any

import msgspec
import pytest

from dockercomp.jobfile import JobFileError, parse
from dockercomp.protocol.orders import (
    WANTLESS_DISK,
    ImagePin,
    InputSpec,
    JobSpec,
    ProgramSpec,
    ResourcesSpec,
    WantsSpec,
    wants_of,
)
from server import describing, wants
from server.running import running_job, unfit

JOB = """\
name = "x"
image = "debian"
[input]
split = "lines"
[map]
command = ["cat"]
[wants]
network = true
capabilities = ["CHOWN"]
reason = "It fetches tiles."
"""


def test_a_job_file_declares_what_it_wants() -> None:
    assert parse(JOB).spec.wants == WantsSpec(network=True, capabilities=["CHOWN"], reason="It fetches tiles.")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("network = true", "networks = true", "line 8: unknown key 'networks' in [wants]; did you mean 'network'?"),
        ("network = true", 'network = "yes"', "line 8: wants.network: must be true or false"),
        ("CHOWN", "CHWON", "line 9: wants.capabilities: 'CHWON' is not one of"),
        ("CHOWN", "CHWON", "did you mean 'CHOWN'?"),
        ("CHOWN", "SYS_ADMIN", "line 9: wants.capabilities: 'SYS_ADMIN' is not one of"),
        ("capabilities", "devices", "line 9: wants.devices: 'CHOWN' is not one of"),
        ("network = true", "privileged = true", "line 8: unknown key 'privileged' in [wants]"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(before: str, after: str, why: str) -> None:
    with pytest.raises(JobFileError) as error:
        parse(JOB.replace(before, after))
    assert why in str(error.value)


def test_much_disk_is_a_want_of_its_own() -> None:
    assert wants_of(WantsSpec(), WANTLESS_DISK) == [] and wants_of(WantsSpec(), WANTLESS_DISK + 1) == ["disk"]


# --- a pool ----------------------------------------------------------------------------------------------------------


def client(name: str, *allows: str) -> dict[str, Any]:
    return {
        "_id": name,
        "owner": name,
        "allocation": {"containers": 1, "memory": 2**30, "cpus": 1.0},
        "machine": {"platform": "linux/amd64"},
        "ceiling": {"allows": list(allows)},
    }


def document(**changes: Any) -> dict[str, Any]:
    spec = JobSpec(
        name="x",
        image="debian",
        input=InputSpec(split="range", stop=1),
        map=ProgramSpec(command=["true"]),
        **changes,
    )
    pin = ImagePin(name="debian", config_digest="", platform="linux/amd64")
    return {
        "_id": "j1",
        "state": "running",
        "owner": "ada",
        "spec": msgspec.to_builtins(spec),
        "image": msgspec.to_builtins(pin),
        "stages": {"0": {"name": "map", "total": 1, "limit": 1, "cursor": 0, "check": False, "reads": None}},
    }


POOL = [client("c1"), client("c2", "network"), client("c3", "network", "disk")]


@pytest.mark.parametrize(
    ("changes", "able"),
    [
        ({}, ["c1", "c2", "c3"]),
        ({"wants": WantsSpec(network=True)}, ["c2", "c3"]),
        ({"wants": WantsSpec(network=True), "resources": ResourcesSpec(disk=5 * 2**30)}, ["c3"]),
        ({"wants": WantsSpec(writable_root=True)}, []),
    ],
)
def test_only_clients_that_consent_are_given_it(changes: dict[str, Any], able: list[str]) -> None:
    job = running_job(document(**changes))
    assert [each["_id"] for each in POOL if not unfit(job, each, "linux/amd64")] == able
    assert wants.consenting(job.spec, POOL) == len(able)


def test_the_reason_says_what_the_volunteer_and_the_scientist_can_do() -> None:
    found = document(wants=WantsSpec(network=True))
    why = unfit(running_job(found), POOL[0], "linux/amd64")
    assert "DC_ALLOW=network" in why and "do without it in the job file" in why
    assert describing.why_waiting(found, POOL[:1]).startswith("it wants the network, which no volunteer of the 1")
    assert wants.said(running_job(found).spec, POOL) == "it wants network: 2 of 3 connected clients allow that"
    assert wants.said(running_job(document()).spec, POOL) == ""
