"""How much is checked, as a job file says it."""

import pytest

from dockercomp import jobfile
from dockercomp.jobfile import JobFileError
from dockercomp.protocol.orders import VerifySpec

HEAD = 'name = "a"\nimage = "i"\n[input]\nsplit = "range"\nstop = 3\n[map]\ncommand = ["true"]\n[verify]\n'


def read(verify: str) -> VerifySpec:
    return jobfile.parse(HEAD + verify).spec.verify


@pytest.mark.parametrize(
    ("written", "share"), [("0.0001", 1e-4), ('"1 in 10000"', 1e-4), ('"1 in 10,000"', 1e-4), ('"0.5 %"', 0.005)]
)
def test_a_share_of_wrong_results_is_written_as_people_say_it(written: str, share: float) -> None:
    assert read(f'policy = "adaptive"\ntarget_error = {written}\n').target_error == pytest.approx(share)


def test_all_of_a_jobs_wishes_are_read() -> None:
    found = read('policy = "adaptive"\nfloor = 0.1\nquorum = 3\nindependent = "owner"\nsame_cpu = true\n')
    assert found == VerifySpec(policy="adaptive", floor=0.1, quorum=3, independent="owner", same_cpu=True)


@pytest.mark.parametrize(
    ("verify", "said"),
    [
        ('policy = "adaptive"\nfloor = 0.001', "verify.floor"),
        ('policy = "adaptive"\nfloor = 1.5', "verify.floor"),
        ('policy = "adaptive"\ntarget_error = "often"', "1 in 10000"),
        ('policy = "adaptive"\nquorum = 1', "at least 2"),
        ("floor = 0.1", 'belongs to policy = "adaptive"'),
        ('policy = "none"\nsame_cpu = true', "no checks"),
        ('independent = "planet"', "not one of"),
    ],
)
def test_what_says_nothing_is_refused(verify: str, said: str) -> None:
    with pytest.raises(JobFileError, match=said):
        read(verify + "\n")
