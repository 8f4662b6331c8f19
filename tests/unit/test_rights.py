"""Who may do what, and what scientists see of clients: the rules alone."""

from typing import get_args

import msgspec
import pytest

from dockercomp.protocol.messages import Allocation, AppliedAllocation, ContainerReport, PartReport
from dockercomp.protocol.people import Role, Scope
from dockercomp.protocol.views import ClientView, PartProgress, Progress
from server.discretion import jobs_named, without_others, words_without_others
from server.rights import Rights

SCOPES = get_args(Scope)


@pytest.mark.parametrize(
    ("role", "scope", "granted"),
    [
        ("viewer", "admin", {"read"}),
        ("scientist", "read", {"read"}),
        ("scientist", "admin", {"read", "submit"}),
        ("admin", "read", {"read"}),
        ("admin", "submit", {"read", "submit"}),
        ("admin", "admin", {"read", "submit", "admin"}),
    ],
)
def test_role_and_scope_must_both_grant(role: Role, scope: Scope, granted: set[str]) -> None:
    assert {each for each in SCOPES if Rights("ada", role, scope).may(each)} == granted


def test_a_token_for_own_jobs_makes_an_admin_a_scientist() -> None:
    rights = Rights("root", "admin", own=True)
    assert rights.may("submit") and not rights.may("admin")
    assert rights.sees("root") and not rights.sees("ada")
    assert rights.changes("root") and not rights.changes("ada")


@pytest.mark.parametrize(
    ("rights", "sees", "changes"),
    [
        (Rights("eve", "scientist"), False, False),
        (Rights("ada", "scientist"), True, True),
        (Rights("ada", "scientist", "read"), True, False),
        (Rights("viola", "viewer"), True, False),
        (Rights("root", "admin"), True, True),
        (Rights("root", "admin", "submit"), True, False),
    ],
)
def test_who_sees_and_who_changes_a_job_of_ada(rights: Rights, sees: bool, changes: bool) -> None:
    assert (rights.sees("ada"), rights.changes("ada")) == (sees, changes)


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("own", [False, True])
def test_a_token_never_gives_more_than_the_one_that_asked_for_it(role: Role, scope: Scope, own: bool) -> None:
    by = Rights("ada", role, scope, own)
    for asked in SCOPES:
        for only_own in (False, True):
            if by.may_give(asked, only_own):
                made = Rights("ada", role, asked, only_own)
                assert all(by.may(each) for each in SCOPES if made.may(each))
                assert by.sees("eve") or not made.sees("eve")


def container(job: str) -> ContainerReport:
    return ContainerReport(name="dc-1", id="1", job=job, state="running", image="secret/program", chunk=f"{job}.0.1")


def client(**changed: object) -> ClientView:
    fields: dict[str, object] = {
        "id": "c1",
        "name": "pc",
        "owner": "lab",
        "address": "192.0.2.1",
        "state": "alive",
        "seen_s_ago": 1,
        "status": "waits for the image of job j0123456789",
        "machine": None,
        "ceiling": None,
        "allocation": Allocation(version=1, containers=1, cpus=1, memory=1 << 28),
        "applied": None,
        "containers": [container("j0123456789"), container("jaaaaaaaaaa")],
    }
    return ClientView(**{**fields, **changed})  # type: ignore[arg-type]


def test_a_scientist_sees_of_a_client_nothing_of_others() -> None:
    assert jobs_named([client()]) == {"j0123456789", "jaaaaaaaaaa"}
    seen = without_others(client(), {"jaaaaaaaaaa"})
    assert seen.address == "" and "j0123456789" not in repr(seen)
    assert [each.job for each in seen.containers] == ["", "jaaaaaaaaaa"]
    assert [each.image for each in seen.containers] == ["", "secret/program"]
    assert [each.name for each in seen.containers] == ["dc-1", "dc-1"], "that it is busy is no secret"


def test_what_is_told_of_an_allocation_names_no_jobs_of_others_either() -> None:
    why = "dc-1 ends its chunk of j0123456789 first"
    part = PartReport(part="jobs", state="waiting", actual="only j0123456789", why=why)
    told = AppliedAllocation(version=1, containers=1, cpus=1, memory=1, verified=False, note=why, parts=[part])
    given = Allocation(version=1, containers=1, cpus=1, memory=1 << 28, jobs=["j0123456789", "word*"])
    way = Progress(
        version=1, author="root", wanted_s_ago=1, drifted=f"put right: {why}",
        parts=[PartProgress(part="jobs", state="waiting", wanted="j0123456789", actual="only j0123456789", why=why)],
    )  # fmt: skip
    whole = client(status="", containers=[], allocation=given, applied=told, progress=way, problems=[why])
    assert jobs_named([whole]) == {"j0123456789"}
    assert "j0123456789" not in repr(without_others(whole, set())), "as far as anything tells of it"
    assert without_others(whole, {"j0123456789"}) == msgspec.structs.replace(whole, address="")


def test_ones_own_jobs_are_named() -> None:
    assert (
        words_without_others("runs jaaaaaaaaaa and j0123456789", {"jaaaaaaaaaa"}) == "runs jaaaaaaaaaa and (another's)"
    )
