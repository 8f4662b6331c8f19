"""A chunk's life, event by event: quorum, disagreement, failures, late results, being opened again."""

import pytest

from dockercomp.protocol.messages import Failure
from server import lifecycle
from server.lifecycle import Chunk, Grantee, Rules

CLIENTS = ["ca", "cb", "cc", "cd", "ce"]
DIGESTS = ["a" * 64, "b" * 64, "c" * 64]
NEAR = ["a" + "1" * 63, "a" + "2" * 63, "b" + "1" * 63]
"""Other bytes than those of DIGESTS, but equal to one of them."""
FAILED = Failure(reason="exit", message="exit code 1", exit_code=1)
BROKEN_MACHINE = Failure(reason="engine", message="no engine")


def leased(chunk: Chunk, client: str, nonce: str = "n") -> Chunk:
    given = lifecycle.grant(chunk, Grantee(client, client), nonce=nonce, deadline=1e9)
    assert given is not None
    return given


def lease_of(chunk: Chunk, client: str) -> str:
    return next(r.lease for r in reversed(chunk.replicas) if r.client == client)


def test_quorum_needs_two_clients() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(2, 3)), "ca")
    step = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[0], 5, stored=True)
    assert step.ack == "stored" and step.chunk.state == "open" and step.chunk.need == 1
    assert lifecycle.grant(step.chunk, Grantee("ca", "ca"), nonce="x", deadline=1) is None
    second = leased(step.chunk, "cb")
    done = lifecycle.accept(second, lease_of(second, "cb"), DIGESTS[0], 5, stored=True).chunk
    assert (done.state, done.digest, done.size) == ("accepted", DIGESTS[0], 5)


def test_a_disagreement_asks_a_third_client_and_marks_the_outvoted() -> None:
    chunk = leased(leased(lifecycle.fresh("j1", 0, 0, Rules(2, 3)), "ca"), "cb")
    chunk = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[0], 1, stored=True).chunk
    chunk = lifecycle.accept(chunk, lease_of(chunk, "cb"), DIGESTS[1], 1, stored=True).chunk
    assert chunk.state == "open" and chunk.need == 1
    chunk = leased(chunk, "cc")
    chunk = lifecycle.accept(chunk, lease_of(chunk, "cc"), DIGESTS[1], 1, stored=True).chunk
    assert chunk.state == "accepted"
    assert [r.client for r in chunk.replicas if r.wrong] == ["ca"]


def test_results_that_are_equal_by_the_comparator_agree_and_the_first_is_published() -> None:
    chunk = leased(leased(lifecycle.fresh("j1", 0, 0, Rules(2, 3)), "ca"), "cb")
    chunk = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[1], 5, stored=True).chunk
    chunk = lifecycle.accept(chunk, lease_of(chunk, "cb"), DIGESTS[0], 6, stored=True).chunk
    chunk = leased(chunk, "cc")
    done = lifecycle.accept(chunk, lease_of(chunk, "cc"), NEAR[0], 7, stored=True, vote=DIGESTS[0]).chunk
    assert (done.state, done.digest, done.size) == ("accepted", DIGESTS[0], 6)
    assert [r.client for r in done.replicas if r.wrong] == ["ca"]


def test_the_same_bytes_vote_for_the_same_and_a_vote_for_nobody_is_for_oneself() -> None:
    chunk = leased(leased(lifecycle.fresh("j1", 0, 0, Rules(3, 3)), "ca"), "cb")
    chunk = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[0], 5, stored=True).chunk
    chunk = lifecycle.accept(chunk, lease_of(chunk, "cb"), NEAR[0], 5, stored=True, vote=DIGESTS[0]).chunk
    assert lifecycle.vote_for(chunk, NEAR[0]) == DIGESTS[0]
    third = leased(chunk, "cc")
    again = lifecycle.accept(third, lease_of(third, "cc"), NEAR[0], 5, stored=True).chunk
    assert again.state == "accepted" and again.digest == DIGESTS[0]
    alone = lifecycle.accept(third, lease_of(third, "cc"), DIGESTS[2], 5, stored=True, vote="e" * 64).chunk
    assert lifecycle.representatives(alone) == [DIGESTS[0], DIGESTS[2]]


def test_what_is_kept_of_a_run() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(1, 3)), "ca")
    run = lifecycle.Run(wall_s=2.5, cpu_s=2.0, log="hello")
    (replica,) = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[0], 1, stored=True, run=run).chunk.replicas
    assert (replica.wall_s, replica.cpu_s, replica.log) == (2.5, 2.0, "hello")


def test_a_late_result_of_an_open_chunk_counts() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(1, 3)), "ca")
    lease = lease_of(chunk, "ca")
    chunk = lifecycle.release(chunk, lease).chunk
    assert chunk.need == 1
    assert lifecycle.accept(chunk, lease, DIGESTS[0], 1, stored=True).chunk.state == "accepted"


def test_a_result_after_the_end_is_late_and_changes_nothing() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(2, 3)), "ca")
    ended = lifecycle.cancel(chunk)
    step = lifecycle.accept(ended, lease_of(chunk, "ca"), DIGESTS[0], 1, stored=True)
    assert step.ack == "late" and step.chunk is ended


def test_a_committed_digest_cannot_be_changed() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(2, 3)), "ca")
    lease = lease_of(chunk, "ca")
    step = lifecycle.accept(chunk, lease, DIGESTS[0], 100_000, stored=False)
    assert step.ack == "send"
    assert lifecycle.accept(step.chunk, lease, DIGESTS[1], 100_000, stored=True).ack == "rejected"


@pytest.mark.parametrize("retries", [1, 3])
def test_a_chunk_that_fails_everywhere_is_given_up_and_says_why(retries: int) -> None:
    chunk = lifecycle.fresh("j1", 0, 4, Rules(2, retries))
    for client in CLIENTS[:retries]:
        chunk = leased(chunk, client)
        chunk = lifecycle.fail_replica(chunk, lease_of(chunk, client), FAILED).chunk
    assert chunk.state == "failed"
    assert "exit code 1" in chunk.error and "chunk 4" in chunk.error


def test_a_broken_machine_does_not_end_a_job() -> None:
    chunk = lifecycle.fresh("j1", 0, 0, Rules(1, 1))
    for number in range(5):
        chunk = lifecycle.forgive(chunk, ["ca"])
        chunk = leased(chunk, "ca", str(number))
        chunk = lifecycle.fail_replica(chunk, lease_of(chunk, "ca"), BROKEN_MACHINE).chunk
    assert chunk.state == "open" and chunk.need == 1


def test_a_client_that_failed_gets_the_chunk_again_only_when_nobody_else_is_left() -> None:
    chunk = leased(lifecycle.fresh("j1", 0, 0, Rules(1, 3)), "ca")
    chunk = lifecycle.fail_replica(chunk, lease_of(chunk, "ca"), FAILED).chunk
    assert lifecycle.forgive(chunk, ["ca", "cb"]) is chunk
    assert lifecycle.forgive(chunk, []) is chunk
    forgiven = lifecycle.forgive(chunk, ["ca"])
    assert leased(forgiven, "ca").replicas[-1].client == "ca"


def test_a_chunk_opened_again_keeps_results_and_forgets_failures() -> None:
    chunk = leased(leased(lifecycle.fresh("j1", 0, 0, Rules(2, 1)), "ca"), "cb")
    chunk = lifecycle.accept(chunk, lease_of(chunk, "ca"), DIGESTS[0], 5, stored=True).chunk
    chunk = lifecycle.fail_replica(chunk, lease_of(chunk, "cb"), FAILED).chunk
    assert chunk.state == "failed"
    again = lifecycle.reopen(chunk)
    assert (again.state, again.need, again.earlier_failures, again.error) == ("open", 1, 1, "")
    assert lifecycle.reopen(again) is again
    assert lifecycle.grant(again, Grantee("ca", "ca"), nonce="x", deadline=1) is None, "it has voted"
    done = leased(again, "cb", "again")
    assert lifecycle.accept(done, lease_of(done, "cb"), DIGESTS[0], 5, stored=True).chunk.state == "accepted"


def test_results_that_never_repeat_end_the_chunk_with_the_reason() -> None:
    chunk = lifecycle.fresh("j1", 0, 0, Rules(2, 3))
    for number in range(2 + lifecycle.EXTRA_RESULTS):
        chunk = leased(chunk, f"c{number}")
        chunk = lifecycle.accept(chunk, lease_of(chunk, f"c{number}"), f"{number:064x}", 1, stored=True).chunk
    assert chunk.state == "failed" and "differs from run to run" in chunk.error
