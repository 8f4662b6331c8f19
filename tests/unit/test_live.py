"""What is told of a running chunk: bounded, from the offsets that the master has, and only of long ones."""

import pytest

from dockercomp.protocol.messages import STREAM_PART
from worker.live import Live, Watched, parse_progress


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (b"0.25 reading file 3\n", (0.25, "reading file 3")),
        (b"1\n", (1.0, "")),
        (b"just words\nmore", (None, "just words")),
        (b"17 of 20\n", (None, "17 of 20")),
        (b"nan x", (None, "nan x")),
        (b"\xff\xfe", (None, "\ufffd\ufffd")),
        (b"", (None, "")),
        (b"0.5 " + b"x" * 1000, (0.5, "x" * 200)),
    ],
)
def test_progress_is_a_fraction_and_a_message_both_optional(written: bytes, found: tuple[float | None, str]) -> None:
    assert parse_progress(written) == found


def test_parts_follow_each_other_once_they_were_told() -> None:
    live = Live("l")
    live.output(b"a" * STREAM_PART)
    live.output(b"bcd")
    first = live.report()
    assert (first.output_from, first.output) == (0, b"a" * STREAM_PART)
    assert live.report() == first, "a sync without an answer is repeated"
    live.output(b"e")
    live.told(first)
    second = live.report()
    assert (second.output_from, second.output) == (STREAM_PART, b"bcde")
    live.told(second)
    assert live.report().output == b"" and live.report().output_from == STREAM_PART + 4


def test_what_grows_too_fast_is_skipped_not_kept() -> None:
    live, total = Live("l"), 0
    for size in (10, 100_000, 3, 70_000, 1_000_000):
        live.log(bytes([size % 256]) * size)
        total += size
    report = live.report()
    assert len(report.log) == STREAM_PART and report.log_from + 4 * STREAM_PART == total
    before = live.report()
    live.log(b"x" * 1_000_000)
    live.told(before)
    assert live.report().log_from + 4 * STREAM_PART == total + 1_000_000


def test_only_chunks_that_run_for_some_time_are_told_of() -> None:
    watched, short, long = Watched(), Live("short"), Live("long")
    short.seconds, long.seconds = lambda: 1.9, lambda: 2.5
    for live in (short, long):
        watched.begin(live)
    (report,) = watched.reports()
    assert (report.lease, report.seconds) == ("long", 2.5)
    long.progress(b"0.5 half")
    long.checkpoint(7)
    watched.told([report])
    long.seconds = lambda: 4.6
    (report,) = watched.reports()
    assert (report.progress, report.message, report.checkpoint) == (0.5, "half", 7)
    watched.told([report])
    long.seconds = lambda: 14.0
    assert watched.reports() == [], "nothing new"
    long.seconds = lambda: 14.7
    assert len(watched.reports()) == 1, "a sign of life"
    watched.end(long)
    watched.told([report])
    assert watched.reports() == []


def test_a_whole_node_of_long_chunks_fits_one_sync() -> None:
    watched = Watched()
    for number in range(100):
        live = Live(str(number))
        live.seconds = lambda: 10.0
        watched.begin(live)
    assert len(watched.reports()) == 64
