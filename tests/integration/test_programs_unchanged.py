"""Programs that know nothing of us, in real containers: where they run, how they are found, and which files count."""

import subprocess
from pathlib import Path

import pytest

from dockercomp.protocol.messages import Piece
from dockercomp.protocol.orders import ProgramSpec
from tests.integration.docker_parts import MIB, Start, failure, files, order_of, payload, reason, sh, task
from worker.tasks import Outcome, Size

LARGE = Size(cpus=1.0, memory=128 * MIB, scratch=64 * MIB)


def write(folder: Path, name: str, content: str | bytes, *, runs: bool = False) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o755 if runs else 0o644)
    return path


def log(outcome: Outcome) -> str:
    assert outcome.failure is not None, outcome.payload
    return outcome.failure.log_head


# --- the working directory ---


def test_a_command_finds_its_folder_in_place_and_may_write_there(start: Start, program: Path) -> None:
    write(program, "data/table.txt", "one\n")
    write(program, "large.bin", bytes(2 * MIB))
    (program / "data/link").symlink_to("table.txt")
    script = (
        "pwd; cat data/table.txt data/link; wc -c < large.bin; echo two >> data/table.txt; cat data/table.txt;"
        "mkdir data/out; echo new > data/out/x; touch ./here; test -w large.bin || echo large ones are read-only"
    )
    container = start(sh(script), program)
    expected = b"/tmp/work\none\none\n2097152\none\ntwo\nlarge ones are read-only\n"
    assert [payload(container.run(task())) for _ in range(2)] == [expected] * 2
    assert (program / "data/table.txt").read_text() == "one\n"


def test_the_smallest_files_are_copies_whatever_order_a_folder_is_read_in(start: Start, program: Path) -> None:
    for number in range(20):
        write(program, f"{number}.small", bytes(10_000))
        write(program, f"d/{number}.medium", bytes(100_000))
    script = "find . -type f | wc -l; find . -type l | wc -l; find . -type f | grep -c small; wc -c < d/1.medium"
    assert payload(start(sh(script), program).run(task())).split() == [b"20", b"20", b"20", b"100000"]


def test_a_program_that_goes_where_it_lies_may_write_there_too(start: Start, program: Path) -> None:
    script = "import pathlib, beside\np = pathlib.Path(__file__).resolve().parent / 'o'\np.write_text(beside.word)\n"
    write(program, "map.py", script + "print(p.read_text())\n")
    write(program, "beside.py", "word = 'yes'\n")
    assert payload(start(order_of(ProgramSpec(command=["python3", "map.py"])), program).run(task())) == b"yes\n"


def test_a_folder_of_very_many_files_is_there_whole(start: Start, program: Path) -> None:
    for number in range(3000):
        write(program, f"d{number % 30}/f{number}", f"{number}\n" * 100)
    container = start(sh("find . -type f -o -type l | wc -l; cat d*/* | wc -l"), program)
    assert payload(container.run(task())).split() == [b"3000", b"300000"]


def test_a_function_keeps_the_jobs_folder(start: Start, program: Path) -> None:
    write(program, "work.py", "import os\ndef go(data):\n    return os.getcwd()\n")
    assert payload(start(order_of(ProgramSpec(function="work:go")), program).run(task())) == b"/dc/job"


def test_language_time_zone_and_the_images_path_are_the_same_everywhere_unless_the_job_says_otherwise(
    start: Start, program: Path
) -> None:
    script = "import locale, time, os; print(locale.getpreferredencoding(), time.tzname[0], os.environ['PYTHONPATH'])"
    command = ProgramSpec(command=["python3", "-c", script])
    assert payload(start(order_of(command)).run(task())) == b"UTF-8 UTC /dc/lib\n"
    theirs = {"TZ": "EST5EDT", "PYTHONPATH": "/dc/job/x", "LC_ALL": "C"}
    assert payload(start(order_of(command, environment=theirs)).run(task())).split()[1:] == [
        b"EST",
        b"/dc/job/x:/dc/lib",
    ]


# --- how programs are started ---


@pytest.mark.parametrize("command", [["map"], ["./map"], ["sub/map"], ["/tmp/work/map"]])
@pytest.mark.parametrize("first", ["#!/bin/sh\n", "#! /usr/bin/env sh\n", "#!/bin/sh\r\n", "#!/usr/bin/env -S sh -u\n"])
def test_a_script_runs_without_its_run_bit(start: Start, program: Path, command: list[str], first: str) -> None:
    for name in ("map", "sub/map"):
        write(program, name, f'{first}echo "$1 $(cat)"\n')
    outcome = start(order_of(ProgramSpec(command=[*command, "a b"])), program).run(task(b"in"))
    assert payload(outcome) == b"a b in\n"


def test_a_small_compiled_program_runs_without_its_run_bit(start: Start, program: Path, tmp_path: Path) -> None:
    (tmp_path / "x.c").write_text('#include <unistd.h>\nint main(void) { return write(1, "ran\\n", 4) != 4; }\n')
    subprocess.run(["cc", "-o", str(program / "map"), str(tmp_path / "x.c")], check=True)
    (program / "map").chmod(0o644)
    assert payload(start(order_of(ProgramSpec(command=["map"])), program).run(task())) == b"ran\n"


def test_a_script_with_line_ends_of_another_system_runs(start: Start, program: Path) -> None:
    write(program, "map.py", "#!/usr/bin/env python3\r\nimport sys\r\nprint(sys.argv[1:])\r\n", runs=True)
    assert payload(start(order_of(ProgramSpec(command=["map.py", "x"])), program).run(task())) == b"['x']\n"


def test_a_script_without_a_first_line_is_the_shells(start: Start, program: Path) -> None:
    write(program, "map", "echo shell $1\n", runs=True)
    assert payload(start(order_of(ProgramSpec(command=["map", "x"])), program).run(task())) == b"shell x\n"


@pytest.mark.parametrize(
    ("content", "runs", "said"),
    [
        ("#!/usr/bin/no-such-perl -w\n", True, "interpreter /usr/bin/no-such-perl, which the image does not have"),
        ("#!/usr/bin/env no-such-ruby\r\n", False, "interpreter no-such-ruby, which the image does not have"),
        ("just text\n", False, "neither a run bit nor a first line"),
        (b"\x7fELF\x02\x01\x01" + bytes(100), True, "another kind of machine"),
        (b"\x7fELF\x02\x01\x01" + bytes(300_000), False, "no run bit: chmod +x"),
    ],
)
def test_what_cannot_be_started_is_said_in_the_log(
    start: Start, program: Path, content: str | bytes, runs: bool, said: str
) -> None:
    write(program, "map", content, runs=runs)
    outcome = start(order_of(ProgramSpec(command=["map"])), program).run(task())
    assert failure(outcome) == ("exit", 127) and said in log(outcome), log(outcome)


def test_a_program_that_is_nowhere_is_said_in_the_log(start: Start) -> None:
    outcome = start(order_of(ProgramSpec(command=["mapp.py"]))).run(task())
    assert "mapp.py: there is no such program in the image, and no such file in the job's folder" in log(outcome)


# --- several files as the result ---


def test_the_files_of_patterns_are_the_result(start: Start, program: Path) -> None:
    write(program, "outputs/old.lang", "shipped, not made\n")
    script = (
        "mkdir -p outputs/deep; printf b > outputs/b.lang; printf 'ä' > 'outputs/ä #1.lang'; : > outputs/empty.lang;"
        "echo no > outputs/x.txt; echo no > outputs/deep/c.lang; ln -s b.lang outputs/l.lang; mkfifo outputs/f.lang;"
        "ln -s /etc outputs/etc; printf total > total; echo this is log"
    )
    order = order_of(ProgramSpec(command=["sh", "-c", script], outputs=["outputs/*.lang", "total"]))
    container = start(order, program)
    first, second = container.run(task()), container.run(task())
    assert first.digest == second.digest and first.log == "this is log\n"
    found = files(first)
    assert found == {
        "outputs/b.lang": b"b",
        "outputs/empty.lang": b"",
        "outputs/ä #1.lang": "ä".encode(),
        "total": b"total",
    }
    assert list(found) == sorted(found, key=str.encode)


def test_a_shipped_file_that_was_written_over_is_the_result(start: Start, program: Path) -> None:
    write(program, "out/a.txt", "old")
    write(program, "out/b.txt", "old")
    order = order_of(ProgramSpec(command=["sh", "-c", "printf new > out/a.txt"], outputs=["out/*.txt"]))
    assert files(start(order, program).run(task())) == {"out/a.txt": b"new"}


def test_the_output_folder_is_the_result_whole_or_by_patterns(start: Start) -> None:
    command = [
        "sh",
        "-c",
        'ls -A "$1" | wc -l >&2; mkdir "$1/x"; cat > "$1/x/in"; echo y > "$1/y"',
        "x",
        "{output_dir}",
    ]
    whole = start(order_of(ProgramSpec(command=command))).run(task(b"data"))
    assert files(whole) == {"x/in": b"data", "y": b"y\n"} and whole.log == "0\n"
    chosen = start(order_of(ProgramSpec(command=command, outputs=["*/in"]))).run(task(b"data"))
    assert files(chosen) == {"x/in": b"data"}


def test_large_and_very_many_files_come_whole(start: Start) -> None:
    script = "i=0; while [ $i -lt 3000 ]; do echo $i > f$i; i=$((i+1)); done; head -c 5000000 /dev/zero > zero"
    outcome = start(order_of(ProgramSpec(command=["sh", "-c", script], outputs=["**"])), size=LARGE).run(task())
    found = files(outcome)
    assert len(found) == 3001 and found["f2999"] == b"2999\n" and found["zero"] == bytes(5_000_000)
    assert isinstance(outcome.payload, Path)
    outcome.payload.unlink()


def test_a_function_writes_files_beside_its_module(start: Start, program: Path) -> None:
    write(program, "work.py", "def go(data):\n    open('out.txt', 'wb').write(data)\n    return 'ignored'\n")
    container = start(order_of(ProgramSpec(function="work:go", outputs=["*.txt"])), program)
    for data in (b"one", b"two"):
        assert files(container.run(task(data))) == {"out.txt": data}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "echo x > a.csv; echo x > b.csv",
            "no file matches the output '*.txt'; in the working directory there are a.csv",
        ),
        ("ln -s /etc/passwd x.txt", "no file matches the output '*.txt'; the program left no files"),
        (r"printf x > $(printf '\377.txt')", r"the name of \xff.txt is not UTF-8"),
        ("truncate -s 2G x.txt", "larger than 1024 MiB"),
    ],
)
def test_outputs_that_are_none_are_said(start: Start, script: str, said: str) -> None:
    container = start(order_of(ProgramSpec(command=["sh", "-c", script], outputs=["*.txt"])))
    for _ in range(2):
        outcome = container.run(task())
        assert reason(outcome) == "output" and outcome.failure and said in outcome.failure.message, outcome.failure


def test_a_program_that_failed_gives_no_files(start: Start) -> None:
    order = order_of(ProgramSpec(command=["sh", "-c", "echo x > a.txt; exit 3"], outputs=["*.txt"]))
    assert failure(start(order).run(task())) == ("exit", 3)


# --- the log of what went well ---


def test_a_result_keeps_the_ends_of_its_log(start: Start) -> None:
    assert start(sh("echo result; echo said >&2")).run(task()).log == "said\n"
    long = start(sh("seq 1 5000 >&2; echo result")).run(task()).log
    assert long.startswith("1\n2\n") and long.endswith("\n5000\n") and "bytes left out" in long and len(long) < 2200
    assert start(sh("cat")).run(task(b"x")).log == ""
    empty = start(sh("true")).run(task())
    assert payload(empty) == b"" and "empty" in empty.log


# --- setup ---


def test_setup_runs_once_and_what_it_leaves_stays(start: Start, program: Path) -> None:
    write(program, "prepare.sh", "date +%s%N > $DC_SETUP/made; cp words $DC_SETUP/; echo x > /tmp/gone\n")
    write(program, "words", "hello\n")
    setup = ["sh", "prepare.sh"]
    container = start(sh("cat $DC_SETUP/*; ls -A /tmp; echo >> $DC_SETUP/words", setup=setup), program)
    first, second = (payload(container.run(task())).split() for _ in range(2))
    assert first == second and first[1:] == [b"hello", b"setup", b"work"]


def test_a_setup_that_fails_says_so_and_is_tried_again(start: Start) -> None:
    container = start(sh("echo ok", setup=["sh", "-c", "echo cannot >&2; exit 4"]))
    for _ in range(2):
        outcome = container.run(task())
        assert failure(outcome) == ("exit", 4) and "cannot" in log(outcome)
        assert outcome.failure and outcome.failure.message == "setup failed: ended with exit code 4"


# --- a product of parameters, csv and lines of JSON ---


def test_a_combination_comes_as_arguments_and_as_json(start: Start, program: Path) -> None:
    values = {"alpha": [0.1, 1e-9], "name": ["a b", "{index}"], "on": [True, False]}
    command = ProgramSpec(
        command=["sh", "-c", 'printf "%s|" "$@"; cat', "x", "{alpha}", "n={name}", "{on}", "{index}", "{other}"]
    )
    container = start(order_of(command, split="product", parameters=values))
    found = payload(container.run(task(start=6, stop=7)))
    assert found == b'1e-09|n={index}|true|3|{other}|{"alpha": 1e-09, "name": "{index}", "on": true}\n'
    write(program, "work.py", "def go(given):\n    return repr(given)\n")
    function = start(order_of(ProgramSpec(function="work:go"), split="product", parameters=values), program)
    assert payload(function.run(task(start=1, stop=3))) == (
        b"[{'alpha': 0.1, 'name': 'a b', 'on': False}, {'alpha': 0.1, 'name': '{index}', 'on': True}]"
    )
    many = start(
        order_of(
            ProgramSpec(command=["wc", "-l"]),
            split="product",
            parameters={"n": list(range(100)), "m": list(range(100))},
        )
    )
    assert payload(many.run(task(start=0, stop=10_000))).strip() == b"10000"


@pytest.mark.parametrize("split", ["csv", "jsonl"])
def test_csv_and_json_lines_are_lines(start: Start, program: Path, split: str) -> None:
    data = b'a,b\n"x\ny",2\n'
    assert payload(start(order_of(ProgramSpec(command=["cat"]), split=split)).run(task(data))) == data  # type: ignore[arg-type]
    write(program, "work.py", "def go(data):\n    return data\n")
    assert payload(start(order_of(ProgramSpec(function="work:go"), split=split), program).run(task(data))) == data  # type: ignore[arg-type]


def test_every_level_of_a_tree_runs_the_reducer(start: Start) -> None:
    order = order_of(ProgramSpec(command=["false"]), ProgramSpec(command=["cat", "{inputs}"]))
    pieces = (Piece(name="0", size=2), Piece(name="1", size=2))
    assert payload(start(order).run(task(b"a\nb\n", stage=3, pieces=pieces))) == b"a\nb\n"
