"""A chunk of several steps in a real container: sorted input, combine, division by key."""

from collections import Counter
from pathlib import Path

import pytest

from dockercomp.protocol.messages import Piece
from dockercomp.protocol.orders import ProgramSpec, StageOrder
from dockercomp.protocol.partition import partition
from tests.integration.docker_parts import Start, failure, files, order_of, payload, reason, task
from worker import shuffle

WORDS = b"the quick fox\nthe lazy dog\nthe end\n"
SPLIT = ProgramSpec(command=["sh", "-c", "tr ' ' '\\n' | sed 's/$/\\t1/'"])
_AWK = """
{ if ($1 != k && NR > 1) print k "\\t" n; if ($1 != k) n = 0; k = $1; n += $2 }
END { if (NR) print k "\\t" n }
"""
ADD = ProgramSpec(command=["awk", "-F\\t", _AWK])
"""Adds up what stands beside each other: right only for sorted lines."""


def counted(*texts: bytes) -> bytes:
    found = Counter(word for text in texts for word in text.split())
    return b"".join(b"%s\t%d\n" % (word, found[word]) for word in sorted(found))


@pytest.fixture(params=["in memory", "by files"], autouse=True)
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "by files":
        monkeypatch.setattr(shuffle, "IN_MEMORY", 8)


def test_the_combine_program_gets_sorted_lines_in_the_same_container(start: Start, home: Path) -> None:
    container = start(order_of(StageOrder(program=SPLIT, combine=ADD)))
    for _ in range(2):
        outcome = container.run(task(WORDS))
        assert payload(outcome) == counted(WORDS) and outcome.input_digest
    assert container.state == "idle" and list((home / "worker" / "spool").iterdir()) == []


def test_the_output_is_divided_by_key_after_it_was_combined(start: Start) -> None:
    container = start(order_of(StageOrder(program=SPLIT, combine=ADD, partitions=3)))
    found = files(container.run(task(WORDS)))
    assert list(found) == ["0", "1", "2"] and len(set(found.values())) == 3
    for number, section in found.items():
        assert all(partition(line, 3) == int(number) for line in section.splitlines())
    assert b"".join(sorted(b"".join(found.values()).splitlines(keepends=True))) == counted(WORDS)
    assert set(files(container.run(task(b""))).values()) == {b""}


@pytest.mark.parametrize("way", ["stdin", "{inputs}"])
def test_a_reducer_gets_one_sorted_stream(start: Start, way: str) -> None:
    command = ["cat"] if way == "stdin" else ["sh", "-c", "echo $# >&2; cat $1", "x", "{inputs}"]
    reduce = StageOrder(program=ProgramSpec(command=command), sort_input=True)
    container = start(order_of(StageOrder(program=SPLIT), reduce))
    pieces = (Piece(name="0", size=3), Piece(name="1", size=0), Piece(name="2", size=4))
    outcome = container.run(task(b"c\nb" + b"d\na\n", stage=1, pieces=pieces))
    assert payload(outcome) == b"a\nb\nc\nd\n"
    assert outcome.log == ("1\n" if way == "{inputs}" else "")


def test_functions_that_combine_or_reduce_sorted_input_get_its_lines_one_by_one(start: Start, program: Path) -> None:
    (program / "work.py").write_text(
        "import itertools\n"
        "def split(data):\n"
        "    return b''.join(word + b'\\t1\\n' for word in data.split())\n"
        "def add(lines):\n"
        "    assert not isinstance(lines, (bytes, list))\n"
        "    pairs = (line.split(b'\\t') for line in lines)\n"
        "    groups = itertools.groupby(pairs, key=lambda pair: pair[0])\n"
        "    return b''.join(b'%s\\t%d\\n' % (key, sum(int(n) for _, n in of_key)) for key, of_key in groups)\n"
    )
    add = ProgramSpec(function="work:add")
    mapping = StageOrder(program=ProgramSpec(function="work:split"), combine=add)
    container = start(order_of(mapping, StageOrder(program=add, sort_input=True)), program)
    first, second = (payload(container.run(task(data))) for data in (WORDS, b"the fox"))
    assert first == counted(WORDS)
    pieces = (Piece(name="0", size=len(first)), Piece(name="1", size=len(second)))
    assert payload(container.run(task(first + second, stage=1, pieces=pieces))) == counted(WORDS, b"the fox")


def test_a_combine_program_works_over_numbers_too(start: Start) -> None:
    numbers = ProgramSpec(command=["sh", "-c", "seq {start} {stop}; seq {start} {stop}"])
    order = order_of(StageOrder(program=numbers, combine=ProgramSpec(command=["uniq", "-c"])), split="range")
    assert payload(start(order).run(task(start=8, stop=10))).split() == [b"2", b"10", b"2", b"8", b"2", b"9"]


def test_which_program_failed_is_said(start: Start, home: Path) -> None:
    order = order_of(StageOrder(program=SPLIT, combine=ProgramSpec(command=["sh", "-c", "exit 4"]), partitions=2))
    outcome = start(order).run(task(WORDS))
    assert failure(outcome) == ("exit", 4)
    assert outcome.failure and outcome.failure.message == "the combine program ended with exit code 4"
    assert list((home / "worker" / "spool").iterdir()) == []


def test_an_output_that_is_not_made_of_lines_is_said(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffle, "LONGEST_LINE", 1 << 20)
    order = order_of(StageOrder(program=ProgramSpec(command=["head", "-c", "3000000", "/dev/zero"]), partitions=2))
    outcome = start(order).run(task())
    assert reason(outcome) == "output" and outcome.failure and "a line is longer than 1 MiB" in outcome.failure.message
