"""How many chunks a worker wants, and when it calls."""

from dockercomp.protocol.messages import SYNC_LIMIT
from worker.pace import HORIZON, INTERVAL, LINGER, SHORTEST, ChunkTimes, Load, Post, next_call, want


def test_an_unknown_job_is_tried_with_one_chunk_ahead() -> None:
    assert want(Load(slots=4, waiting=0, running=0, chunk_s=None)) == 8
    assert want(Load(slots=4, waiting=4, running=4, chunk_s=None)) == 0


def test_short_chunks_come_by_the_hundred_and_long_ones_one_by_one() -> None:
    assert want(Load(slots=2, waiting=0, running=2, chunk_s=0.01)) == 200 * HORIZON
    assert want(Load(slots=2, waiting=0, running=2, chunk_s=0.0001)) == SYNC_LIMIT
    assert want(Load(slots=2, waiting=0, running=2, chunk_s=5.0)) == 2
    assert want(Load(slots=2, waiting=0, running=2, chunk_s=600.0)) == 0
    assert want(Load(slots=2, waiting=0, running=1, chunk_s=600.0)) == 1


def test_large_inputs_are_not_hoarded_and_no_slot_wants_nothing() -> None:
    assert want(Load(slots=2, waiting=0, running=2, chunk_s=0.01, input_bytes=16 * 2**20)) == 4
    assert want(Load(slots=0, waiting=0, running=0, chunk_s=0.01)) == 0


IDLE = Load(slots=2, waiting=0, running=0, chunk_s=1.0)
FULL = Load(slots=2, waiting=8, running=2, chunk_s=1.0)


def test_without_work_the_master_says_when() -> None:
    assert next_call(100.0, 5.0, IDLE, Post(), dry=True, urgent=None) == 105.0


def test_a_hungry_worker_calls_at_once_but_never_more_than_ten_times_a_second() -> None:
    assert next_call(100.0, 5.0, IDLE, Post(), dry=False, urgent=None) == 100.0 + SHORTEST


def test_results_are_prompt_in_the_tail_and_together_while_there_is_work() -> None:
    post = Post(results=1, oldest=103.0)
    assert next_call(100.0, 5.0, IDLE, post, dry=True, urgent=None) == 103.0 + LINGER
    assert next_call(100.0, 5.0, FULL, post, dry=True, urgent=None) == 103.0 + INTERVAL
    assert next_call(100.0, 5.0, FULL, Post(results=SYNC_LIMIT, oldest=103.0), dry=True, urgent=None) == 100.1


def test_news_do_not_wait() -> None:
    assert next_call(100.0, 5.0, FULL, Post(), dry=True, urgent=101.0) == 101.0 + LINGER


def test_chunk_times_are_learned_per_job() -> None:
    times = ChunkTimes()
    assert times.expect(["a"]) is None and times.expect([]) is None
    times.note("a", 1.0)
    times.note("b", 10.0)
    assert times.expect(["a"]) == 1.0
    assert times.expect(["a", "b"]) == 10.0
    assert times.expect(["a", "new"]) is None
    times.note("a", 2.0)
    assert 1.0 < (times.expect(["a"]) or 0) < 2.0
    times.forget("a")
    assert times.expect(["a"]) is None
