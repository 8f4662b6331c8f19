"""What a chunk's record says, for every way in which a result can come to be accepted."""

import msgspec
import pytest

from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, VerifySpec
from dockercomp.protocol.receipts import Basis, Verdict
from server import lifecycle
from server.lifecycle import Chunk, Grantee, Rules, Run
from server.receipt_records import Summary, record_of

TRUTH, LIE = "a" * 64, "b" * 64
QUORUM, NONE, ADAPTIVE = Rules(quorum=2, retries=3), Rules(quorum=1, retries=3), Rules(quorum=1, retries=3, full=2)


def spec(policy: str = "quorum", question: str | None = None) -> JobSpec:
    return JobSpec(
        name="x",
        input=InputSpec(split="range"),
        map=ProgramSpec(question=question) if question else ProgramSpec(command=["true"]),
        verify=VerifySpec(policy=policy),  # type: ignore[arg-type]
    )


def given(
    chunk: Chunk,
    client: str,
    digest: str = TRUTH,
    *,
    check: bool = False,
    run: Run = lifecycle.NO_RUN,
    **grantee: object,
) -> Chunk:
    """The chunk after this client's result."""
    to = Grantee(client=client, owner=f"{client}'s", **grantee)  # type: ignore[arg-type]
    leased = lifecycle.grant(chunk, to, nonce="n", deadline=1e12, spare=True)
    assert leased is not None
    lease = leased.replicas[-1].lease
    return lifecycle.accept(leased, lease, digest, 8, stored=True, check=check, run=run).chunk


def fresh(rules: Rules) -> Chunk:
    return lifecycle.fresh("j", 0, 7, rules)


def verdicts(chunk: Chunk, of: JobSpec) -> tuple[Basis, dict[str, Verdict]]:
    record = record_of(chunk, of, "map")
    return record.basis, {vote.client: vote.verdict for vote in record.votes}


def test_a_quorum_and_who_was_outvoted() -> None:
    chunk = given(given(given(fresh(QUORUM), "c1"), "c2", LIE), "c3")
    assert verdicts(chunk, spec()) == ("quorum", {"c1": "agreed", "c2": "outvoted", "c3": "agreed"})


def test_one_clients_word_where_nothing_is_checked() -> None:
    assert verdicts(given(fresh(NONE), "c1"), spec("none")) == ("unchecked", {"c1": "alone"})
    assert verdicts(given(fresh(NONE), "c1"), spec("quorum")) == ("unchecked", {"c1": "alone"}), "a quorum of 1"


def test_an_adaptive_job_says_which_results_were_checked() -> None:
    assert verdicts(given(fresh(ADAPTIVE), "c1"), spec("adaptive")) == ("single", {"c1": "alone"})
    checked = given(given(fresh(ADAPTIVE), "c1", check=True), "c2")
    assert verdicts(checked, spec("adaptive")) == ("quorum", {"c1": "agreed", "c2": "agreed"})


def test_a_trusted_clients_word() -> None:
    chunk = given(fresh(QUORUM), "c1", trusted=True)
    assert verdicts(chunk, spec()) == ("trusted", {"c1": "alone"})


def test_peoples_answers() -> None:
    chunk = given(given(fresh(QUORUM), "p-ada"), "p-bob")
    assert verdicts(chunk, spec(question="cat?"))[0] == "people"


@pytest.mark.parametrize(("answer", "verdict"), [(TRUTH, "agreed"), (LIE, "outvoted")])
def test_a_canary_is_told_as_one_and_is_no_vote(answer: str, verdict: Verdict) -> None:
    chunk = given(given(fresh(ADAPTIVE), "c1", check=True), "c2")
    leased = lifecycle.grant_canary(chunk, Grantee(client="c3", owner="o3"), nonce="n", deadline=1e12)
    assert leased is not None
    lease = leased.replicas[-1].lease
    after = lifecycle.accept(leased, lease, answer, 8, stored=True).chunk
    record = record_of(after, spec("adaptive"), "map")
    assert record.votes[-1].canary and record.votes[-1].verdict == verdict
    assert record.independence is not None and record.independence.clients == 2
    summary = Summary(spec("adaptive"))
    summary.add(record)
    stated = summary.verification(None)
    assert (stated.results, stated.canaries, stated.canaries_failed) == (2, 1, int(answer == LIE))
    assert summary.clients == 2, "a canary's client computed nothing of the result"


def test_a_doubted_vote_is_told_as_one() -> None:
    chunk = lifecycle.doubt(given(fresh(ADAPTIVE), "c1"), "c1")
    chunk = given(chunk, "c2")
    record = record_of(chunk, spec("adaptive"), "map")
    assert {vote.client: vote.doubted for vote in record.votes} == {"c1": True, "c2": False}
    assert record.basis == "quorum"


def test_independence_counts_owners_blocks_and_tokens_but_names_none() -> None:
    chunk = given(fresh(QUORUM), "c1", block="192.0.2.0/24", token="t1")
    chunk = given(chunk, "c2", block="192.0.2.0/24", token="t2")
    record = record_of(chunk, spec(), "map")
    assert record.independence is not None
    assert msgspec.structs.astuple(record.independence) == (2, 2, 1, 2)
    assert b"192.0.2" not in msgspec.json.encode(record) and b"t1" not in msgspec.json.encode(record)


def test_runs_are_told_with_limits_times_and_the_input_they_got() -> None:
    first = Run(cpu_s=1.23456, wall_s=2.0, cpus_limit=0.5, memory_limit=1 << 20, at=1e9, input_digest="c" * 64)
    other = Run(cpu_s=1.0, at=1e9 + 60, input_digest="d" * 64)
    chunk = given(given(given(fresh(Rules(quorum=3, retries=3)), "c1", run=first), "c2"), "c3", run=other)
    record = record_of(chunk, spec(), "map")
    assert [vote.input_digest[0] for vote in record.votes] == ["c", "c", "d"], "what is left out is that of the first"
    assert record.votes[0].cpu_s == 1.235 and record.votes[0].cpus_limit == 0.5
    assert record.votes[0].returned == "2001-09-09T01:46:40.000Z"
    assert record.accepted == "2001-09-09T01:47:40.000Z", "with the last of the agreeing results"


def test_a_jobs_sum_names_the_least_independence_and_who_gave_most() -> None:
    summary = Summary(spec())
    for owners in (("c1", "c2", "c3"), ("c1", "c2")):
        chunk = fresh(Rules(quorum=len(owners), retries=3))
        for client in owners:
            chunk = given(chunk, client)
        summary.add(record_of(chunk, spec(), "map"))
    assert [(each.client, each.agreed) for each in summary.contributors()] == [("c1", 2), ("c2", 2), ("c3", 1)]
    assert summary.least is not None and summary.least.clients == 2
    assert (summary.clients, summary.owners) == (3, 3)
