"""The pools for programs in containers, without any worker: building, torn reads, several pools, errors."""

import ast
import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker import inside
from worker.mounts import SlotFolders
from worker.tasks import Size

INSIDE = Path(inside.__file__).parent
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-O1", "-pthread", "-I", str(INSIDE)]
sys.path.insert(0, str(INSIDE))

from dockercomp_pool import shares  # type: ignore[import-not-found]  # noqa: E402


def built(folder: Path, source: str, *flags: str, compiler: str = "gcc") -> Path:
    """A program of this source: its main, behind the header."""
    code = folder / ("main.cc" if compiler == "g++" else "main.c")
    code.write_text(f'#include "dockercomp.h"\n#include <stdio.h>\n{source}')
    program = folder / f"program-{len(list(folder.iterdir()))}"
    subprocess.run([compiler, *STRICT, *flags, "-o", str(program), str(code)], check=True)
    return program


def output(*command: object, given: str = "", **environment: str) -> str:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(INSIDE), **environment}
    done = subprocess.run(
        [*map(str, command)], input=given, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(source: str, **environment: str) -> str:
    return output(sys.executable, "-W", "error", "-c", source, **environment)


@contextmanager
def writing(folder: Path, size: Callable[[int], Size]) -> Iterator[str]:
    """The place of an allocation that is replaced at full speed, by the size of each number from 1 on."""
    folders, ended = SlotFolders(folder / "slot"), threading.Event()
    folders.make(size(1))

    def write() -> None:
        for change in itertools.count(2):
            if ended.is_set():
                return
            folders.write_allocation(size(change))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield str(folder / "slot/allocation/now")
    finally:
        ended.set()
        writer.join()


# --- C ---------------------------------------------------------------------------------------------------------------

USE = """
static int done, said;
static void one(void *data) { (void)data; __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST); }
static void many(void *data) { for (int n = 0; n < 50; n++) dc_pool_submit((dc_pool *)data, one, NULL); }
static void fill(void *data, size_t from, size_t to) {
    for (size_t n = from; n < to; n++) ((double *)data)[n] = (double)n / 3;
}
static void map(void *data, size_t from, size_t to, void *value) {
    for (size_t n = from; n < to; n++) *(double *)value += ((double *)data)[n];
}
static void fold(void *data, void *into, const void *value) {
    (void)data;
    *(double *)into += *(const double *)value;
}
static void within(void *pool) { said = dc_pool_wait((dc_pool *)pool); }
int main(void) {
    static double items[10007];
    dc_pool *pool = dc_pool_new(1), *other = dc_pool_new(0.5);
    double sum = 0;
    if (!pool || !other || dc_pool_new(0)) return 1;
    for (int n = 0; n < 20; n++) {
        if (dc_pool_for(pool, 10007, 10, fill, items) || dc_pool_submit(other, many, other)) return 2;
    }
    dc_pool_wait(other);
    if (dc_pool_for(pool, 0, 0, fill, items)) return 3;
    if (dc_pool_reduce(pool, 10007, 0, sizeof sum, map, fold, &sum, items)) return 4;
    if (dc_pool_submit(pool, within, pool) || dc_pool_wait(pool) || said != EDEADLK) return 5;
    dc_pool_free(other);
    dc_pool_submit(pool, one, NULL);
    dc_pool_free(pool);
    dc_pool_free(NULL);
    printf("%d %.17g\\n", done, sum);
    return 0;
}
"""


@pytest.mark.parametrize(
    ("compiler", "standard"),
    [("gcc", "c99"), ("gcc", "c11"), ("gcc", "gnu17"), ("g++", "c++11"), ("g++", "c++20")],
)
def test_the_header_builds_strictly_and_gives_the_same_at_any_width(
    compiler: str, standard: str, tmp_path: Path
) -> None:
    program = built(tmp_path, USE, f"-std={standard}", compiler=compiler)
    results = {output(program, DC_WIDTH=width) for width in ("1", "2", "9")} | {output(program)}
    assert len(results) == 1 and results.pop().startswith("1001 ")


CHANGING = """
static int done;
static void one(void *data) {
    struct timespec moment = {0, 200000};
    (void)data;
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    nanosleep(&moment, NULL);
}
static void piece(void *data, size_t from, size_t to) { one(data); (void)from; (void)to; }
static void *user(void *pool) {
    for (int n = 0; n < 20; n++) dc_pool_for((dc_pool *)pool, 50, 1, piece, NULL);
    return NULL;
}
int main(void) {
    pthread_t users[3];
    dc_pool *pools[2] = {dc_pool_new(1), dc_pool_new(2)};
    for (int n = 0; n < 3; n++) if (pthread_create(&users[n], NULL, user, pools[n % 2])) return 1;
    for (int n = 0; n < 20; n++) {
        dc_pool *brief = dc_pool_new(1);
        for (int k = 0; k < 50; k++) dc_pool_submit(brief, one, NULL);
        dc_pool_free(brief);
    }
    for (int n = 0; n < 3; n++) pthread_join(users[n], NULL);
    dc_pool_free(pools[0]);
    dc_pool_free(pools[1]);
    printf("%d\\n", done);
    return 0;
}
"""


def checked(folder: Path, source: str, check: str) -> list[str]:
    """The command of this source with a sanitizer; skips the test where there is none."""
    empty = folder / "empty"
    empty.mkdir()
    try:
        built(empty, "int main(void) { return 0; }", f"-fsanitize={check}")
    except subprocess.CalledProcessError:
        pytest.skip(f"the compiler here has no -fsanitize={check}")
    # Address spaces are laid out at random more widely than older sanitizers can do with.
    orderly = ["setarch", "--addr-no-randomize"]
    may = (
        shutil.which("setarch") and not subprocess.run([*orderly, "true"], capture_output=True, check=False).returncode
    )
    return [*(orderly if may else []), str(built(folder, source, "-g", f"-fsanitize={check}"))]


@pytest.mark.parametrize("check", ["thread", "address,undefined"])
def test_a_sanitizer_finds_nothing(check: str, tmp_path: Path) -> None:
    assert output(*checked(tmp_path, USE, check), DC_WIDTH="4").startswith("1001 ")


def test_nor_while_the_width_changes_and_pools_come_and_go(tmp_path: Path) -> None:
    command = checked(tmp_path, CHANGING, "thread")

    def size(change: int) -> Size:
        return Size(1, 5, 0, width=1 + change * 5 % 12)

    with writing(tmp_path, size) as place:
        assert output(*command, DC_ALLOCATION=place) == "4000\n"


def test_files_of_one_program_share_their_pools(tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text(
        '#include "dockercomp.h"\ndc_pool *other(void);\ndc_pool *other(void) { return dc_pool_new(3); }\n'
    )
    source = """
    dc_pool *other(void);
    static dc_pool *pools[2];
    static int widths[2];
    static void look(void *data) {
        int mine = *(int *)data;
        struct timespec moment = {0, 1000000};
        while (!dc_pool_width(pools[0]) || !dc_pool_width(pools[1])) nanosleep(&moment, NULL);
        __atomic_store_n(&widths[mine], dc_pool_width(pools[mine]), __ATOMIC_SEQ_CST);
        while (!__atomic_load_n(&widths[1 - mine], __ATOMIC_SEQ_CST)) nanosleep(&moment, NULL);
    }
    static void uneven(int total, const double *weights, int *out, size_t count, void *data) {
        (void)data;
        for (size_t n = 0; n < count; n++) out[n] = weights[n] > 0 ? (n ? 1 : total - 1) : 0;
    }
    int main(void) {
        int numbers[] = {0, 1};
        pools[0] = dc_pool_new(1);
        pools[1] = other();
        for (int round = 0; round < 2; round++) {
            widths[0] = widths[1] = 0;
            dc_pool_submit(pools[0], look, &numbers[0]);
            dc_pool_submit(pools[1], look, &numbers[1]);
            dc_pool_wait(pools[0]);
            dc_pool_wait(pools[1]);
            printf("%d %d\\n", widths[0], widths[1]);
            dc_divide_by(uneven, NULL);
        }
        return 0;
    }
    """
    program = built(tmp_path, source, str(tmp_path / "other.c"))
    assert output(program, DC_WIDTH="8") == "2 6\n7 1\n"


FORKING = """
#include <sys/wait.h>
static void nothing(void *data, size_t from, size_t to) { (void)data; (void)from; (void)to; }
static int ended;
static void *user(void *pool) {
    while (!__atomic_load_n(&ended, __ATOMIC_SEQ_CST)) dc_pool_for((dc_pool *)pool, 8, 1, nothing, NULL);
    return NULL;
}
int main(void) {
    pthread_t busy;
    int good = 0, status;
    dc_pool *pool = dc_pool_new(1);
    if (pthread_create(&busy, NULL, user, pool)) return 1;
    for (int n = 0; n < 200; n++) {
        pid_t child = fork();
        if (!child) {
            dc_pool *own = dc_pool_new(1);
            _exit(own && !dc_pool_for(own, 8, 1, nothing, NULL) && dc_program_.watched == 1 ? 7 : 1);
        }
        good += waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7;
    }
    __atomic_store_n(&ended, 1, __ATOMIC_SEQ_CST);
    pthread_join(busy, NULL);
    printf("%d\\n", good);
    return 0;
}
"""


def test_a_child_makes_pools_of_its_own_whatever_its_parents_were_doing(tmp_path: Path) -> None:
    assert output(built(tmp_path, FORKING), DC_WIDTH="4") == "200\n"


def test_a_rule_is_not_asked_before_a_pool_has_work(tmp_path: Path) -> None:
    source = """
    static void rule(int width, const double *weights, int *widths, size_t count, void *asked) {
        (void)count;
        widths[0] = weights[0] > 0;
        widths[1] = width - 1;
        *(int *)asked = 1;
    }
    static void look(void *pool) { printf("%d\\n", dc_pool_width((dc_pool *)pool)); }
    int main(void) {
        int asked = 0;
        dc_pool *load, *compute;
        dc_divide_by(rule, &asked);
        load = dc_pool_new(1);
        compute = dc_pool_new(3);
        if (asked || dc_pool_submit(compute, look, compute)) return 1;
        dc_pool_free(compute);
        dc_pool_free(load);
        return !asked;
    }
    """
    assert output(built(tmp_path, source), DC_WIDTH="8") == "7\n"


def test_included_too_late_it_says_what_to_do(tmp_path: Path) -> None:
    code = tmp_path / "late.c"
    code.write_text('#include <stdio.h>\n#include "dockercomp.h"\nint main(void) { return 0; }\n')
    command = ["gcc", "-std=c99", "-I", str(INSIDE), "-o", str(tmp_path / "x"), str(code)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode and "include dockercomp.h before other headers" in said.stderr
    subprocess.run([*command, "-D_GNU_SOURCE"], check=True)


WEIGHTS = st.lists(st.sampled_from([0, 0.5, 1, 2, 3.25, 100]), min_size=1, max_size=8).filter(any)


@given(total=st.integers(1, 300), weights=WEIGHTS)
def test_shares_are_whole_near_and_never_nothing(total: int, weights: list[float]) -> None:
    widths = shares(total, weights)
    busy = [n for n, weight in enumerate(weights) if weight]
    assert all((width > 0) == (weight > 0) for width, weight in zip(widths, weights, strict=True))
    assert sum(widths) == max(total, len(busy))
    if all(total * weights[n] / sum(weights) >= 1 for n in busy):
        assert all(abs(widths[n] - total * weights[n] / sum(weights)) < 1 for n in busy)


def test_both_languages_divide_alike(tmp_path: Path) -> None:
    source = """
    int main(void) {
        double weights[8];
        int total, count, widths[8];
        while (scanf("%d %d", &total, &count) == 2) {
            for (int n = 0; n < count; n++) if (scanf("%lf", &weights[n]) != 1) return 1;
            dc_by_weight(total, weights, widths, (size_t)count);
            for (int n = 0; n < count; n++) printf("%d ", widths[n]);
            puts("");
        }
        return 0;
    }
    """
    program = built(tmp_path, source)
    cases: list[tuple[int, list[float]]] = []

    @settings(max_examples=200, database=None)
    @given(total=st.integers(1, 300), weights=WEIGHTS)
    def collect(total: int, weights: list[float]) -> None:
        cases.append((total, weights))

    collect()
    lines = "".join(f"{total} {len(weights)} {' '.join(map(str, weights))}\n" for total, weights in cases)
    found = [[int(word) for word in line.split()] for line in output(program, given=lines).splitlines()]
    assert found == [shares(*case) for case in cases]


# --- the file --------------------------------------------------------------------------------------------------------

READS = 20_000
"""How often a reader reads at least while it is replaced, until it has seen some replaced; each size says by its parts
whether it is one whole."""
READ_C = """
int main(void) {
    dc_allocation now;
    long last = 0, different = 0;
    for (int n = 0; n < %d || different < 20; n++) {
        if (!dc_allocation_read(&now) || now.change < last) return 2;
        if (now.memory != now.change * 1000003 || now.width != now.change %% 900 + 1) return 3;
        if (now.cpus != now.width + 0.5) return 4;
        different += now.change != last;
        last = now.change;
    }
    printf("%%ld\\n", different);
    return 0;
}
"""
READ_PYTHON = """
import dockercomp_chunk
last = different = 0
reads = 0
while reads < %d or different < 20:
    reads += 1
    now = dockercomp_chunk.allocation()
    assert now.change >= last and now.memory == now.change * 1000003, now
    assert now.width == now.change %% 900 + 1 and now.cpus == now.width + 0.5, now
    assert now.cpuset == ("0-%%d" %% (now.width + 5000) if now.width %% 2 else ""), now
    different += now.change != last
    last = now.change
print(different)
"""


@pytest.mark.parametrize("language", ["c", "python"])
def test_no_reader_sees_a_mixture_while_a_writer_writes_at_full_speed(language: str, tmp_path: Path) -> None:
    def size(change: int) -> Size:
        width = change % 900 + 1
        pins = f"0-{width + 5000}" if width % 2 else ""
        return Size(width + 0.5, change * 1000003, 0, cpuset=pins, width=width)

    with writing(tmp_path, size) as place:
        if language == "c":
            found = output(built(tmp_path, READ_C % READS), DC_ALLOCATION=place)
        else:
            found = python(READ_PYTHON % READS, DC_ALLOCATION=place)
    assert int(found) >= 20, "the writer wrote while the reader read"


def test_numbers_are_read_the_same_in_any_locale_and_oddities_leave_the_machine(tmp_path: Path) -> None:
    source = """
    int main(void) {
        dc_allocation now;
        int told = dc_allocation_read(&now);
        printf("%d %g %lld %ld %d\\n", told, now.cpus, told ? now.memory : 0, now.change, now.width);
        return 0;
    }
    """
    program, now = built(tmp_path, source), tmp_path / "now"

    def read(text: str) -> str:
        now.write_text(text)
        return output(program, DC_ALLOCATION=str(now), DC_WIDTH="5")

    assert (
        read("dockercomp-allocation 1\nlater 9\ncpus 2.75\nmemory 123456789012\nodd\n") == "1 2.75 123456789012 0 3\n"
    )
    assert read("dockercomp-allocation 1\nchange 7\ncpus 0.5\nmemory 5\nwidth 1\ncpuset 0\n") == "1 0.5 5 7 1\n"
    machine = f"0 {len(os.sched_getaffinity(0))} 0 0 5\n"
    for odd in ("", "dockercomp-allocation 2\ncpus 1\nmemory 1\n", "cpus 1\nmemory 1\n", "dockercomp-allocation 1\n"):
        assert read(odd) == machine
    assert output(program, DC_WIDTH="5") == machine


# --- Python ----------------------------------------------------------------------------------------------------------


def test_results_come_in_order_whatever_the_width() -> None:
    source = """
from dockercomp_pool import Pool
def work(n): return sum(range(n % 7 * 100)), n
print(Pool().map(work, range(500), 3), Pool().map(lambda n: n, []), [*Pool().imap(str, iter("abc"))])
"""
    assert len({python(source, DC_WIDTH=width) for width in ("1", "2", "5")} | {python(source)}) == 1


def test_an_endless_iterator_is_read_a_few_pieces_ahead_only() -> None:
    source = """
import itertools, multiprocessing
from dockercomp_pool import Pool
taken = []
def items():
    for n in itertools.count():
        taken.append(n)
        yield n
results = Pool().imap(lambda n: n, items())
print([next(results) for _ in range(100)] == list(range(100)), len(taken) < 200)
results.close()
print(multiprocessing.active_children())
left = Pool().imap(lambda n: n, items())
next(left)
"""
    assert python(source, DC_WIDTH="3") == "True True\n[]\n"


def test_pools_at_work_divide_the_width_by_weight_or_by_a_rule() -> None:
    source = """
import itertools
from dockercomp_pool import Pool, divide_by
pools = Pool(1), Pool(3), Pool()
print([pool.width for pool in pools])
runs = [pool.imap(lambda n: n, itertools.count()) for pool in pools[:2]]
for run in runs: next(run)
print([pool.width for pool in pools])
divide_by(lambda total, weights: [total - 1 if weights[0] else 0, 0, 5])
print([pool.width for pool in pools])
runs[1].close()
divide_by(None)
print([pool.width for pool in pools])
runs[0].close()
print(pools[0].map(lambda n: sum(pools[1].map(lambda m: n * m, range(4))), range(4)))
"""
    expected = "[0, 0, 0]\n[2, 6, 0]\n[7, 1, 0]\n[8, 0, 0]\n[0, 6, 12, 18]\n"
    assert python(source, DC_WIDTH="8") == expected


def test_pools_that_are_forgotten_take_no_part_any_more() -> None:
    source = """
from dockercomp_pool import Pool
import dockercomp_pool
kept = Pool(), Pool()
print([Pool().map(str, [n]) for n in range(50)][-1], len(dockercomp_pool._pools))
"""
    assert python(source) == "['49'] 2\n"


def test_what_a_function_raises_comes_back_where_its_result_would() -> None:
    source = """
import sys, traceback
from dockercomp_pool import Pool, RemoteError
class Odd(Exception):
    def __init__(self, one, other): super().__init__(one)
def fails(n):
    if n == 5: raise {error}
    return n
got = []
try:
    for result in Pool().imap(fails, range(20), 3): got.append(result)
except {caught} as error:
    print(got, type(error).__name__, "in fails" in traceback.format_exc())
"""
    told = python(source.format(error="KeyError('five')", caught="KeyError"), DC_WIDTH="2")
    assert told == "[0, 1, 2, 3, 4] KeyError True\n"
    for error in ("Odd(1, 2)", "SystemExit(3)", "KeyboardInterrupt", "StopIteration"):
        told = python(source.format(error=error, caught="RemoteError"), DC_WIDTH="2")
        assert told == "[0, 1, 2, 3, 4] RemoteError True\n"


@pytest.mark.parametrize(("how", "said"), [("os.kill(os.getpid(), 9)", "signal 9"), ("os._exit(4)", "exit code 4")])
def test_a_process_that_dies_is_an_error_and_no_hang(how: str, said: str) -> None:
    source = f"""
import multiprocessing, os
from dockercomp_pool import Pool, WorkerDied
try:
    Pool().map(lambda n: {how} if n == 7 else n, range(100))
except WorkerDied as error:
    print(error, multiprocessing.active_children())
"""
    told = python(source, DC_WIDTH="3")
    assert f"{said} in the middle of piece 7" in told and told.endswith("[]\n")


def test_processes_end_with_their_program(tmp_path: Path) -> None:
    source = """
import itertools, os, sys
from dockercomp_pool import Pool
run = Pool().imap(lambda n: os.getpid(), itertools.count())
print(" ".join(map(str, {next(run) for _ in range(50)})), flush=True)
os.kill(os.getpid(), 9)
"""
    # What they hold of its standard output is closed when the last of them has ended, which is what is waited for here.
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"PYTHONPATH": str(INSIDE), "DC_WIDTH": "3"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -9 and done.stdout.split()


def test_one_that_leaves_a_process_behind_is_an_error_too() -> None:
    source = """
import os
from dockercomp_pool import Pool, WorkerDied
ours, theirs = os.pipe()
def fails(n):
    if n == 7:
        if not os.fork():
            os.close(theirs)
            os.read(ours, 1)  # until the program has ended
            os._exit(0)
        os._exit(4)
    return n
try:
    Pool().map(fails, range(100))
except WorkerDied as error:
    print(error)
"""
    assert "exit code 4 in the middle of piece 7" in python(source, DC_WIDTH="3")


def test_a_child_of_the_programs_own_ends_none_of_its_processes() -> None:
    source = """
import itertools, os, sys
from dockercomp_pool import Pool
run = Pool().imap(lambda n: n, itertools.count())
print(next(run), flush=True)
if not os.fork(): sys.exit(0)
os.wait()
print([next(run) for _ in range(50)] == list(range(1, 51)))
"""
    assert python(source, DC_WIDTH="3") == "0\nTrue\n"


def test_where_no_more_processes_can_be_made_those_that_are_there_do_the_work() -> None:
    source = """
import dockercomp_pool, errno
made, real = [], dockercomp_pool._Process
def few(*given):
    if len(made) == 2: raise OSError(errno.{error}, "no more")
    made.append(real(*given))
    return made[-1]
dockercomp_pool._Process = few
pool = dockercomp_pool.Pool()
print(pool.map(lambda n: n, range(500)) == list(range(500)), len(made))
"""
    for error in ("EAGAIN", "ENOMEM", "EMFILE"):
        assert python(source.format(error=error), DC_WIDTH="8") == "True 2\n"


def test_no_pool_without_weight_and_no_piece_without_items() -> None:
    source = """
from dockercomp_pool import Pool
for odd in (lambda: Pool(0), lambda: Pool(-1), lambda: Pool().map(str, [1], 0)):
    try: odd()
    except ValueError as error: print(error)
"""
    assert python(source).count("must be") == 3


def test_it_runs_on_old_pythons_with_the_standard_library_only() -> None:
    tree = ast.parse((INSIDE / "dockercomp_pool.py").read_text(), feature_version=(3, 6))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported <= {*sys.stdlib_module_names, "dockercomp_chunk"}
