"""Calls of functions on their way into a container: what is sent is run by a bare Python, as a container would."""

import functools
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dockercomp import Client, Executor
from dockercomp.calloptions import CallOptions, spec_of
from dockercomp.calls import Calls
from dockercomp.master import Master
from dockercomp.outcomes import Outcome, RemoteError, outcomes
from dockercomp.pickling import NotTravelling
from dockercomp.protocol.errors import InvalidJob, UnknownImage
from dockercomp.protocol.views import InputFile
from tests.unit.fake_api import TOKEN, FakeMaster, serving

_RUN = """
import sys
sys.path.insert(0, {folder!r})
from dockercomp_inside.calls import run
for path in sys.stdin.read().splitlines():
    sys.stdout.buffer.write(run([path]))
"""


@pytest.fixture
def master() -> Iterator[FakeMaster]:
    with serving() as found:
        yield found


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which modules are imported, as that of a program."""
    folder = tmp_path / "program"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


class Sent:
    """What a fake master was given, and what becomes of it in a bare Python."""

    def __init__(self, master: FakeMaster, place: Path) -> None:
        self.master, self.folder = master, place / "job"
        self.inputs = place / "in"
        self.inputs.mkdir()
        [(_, self.request)] = master.submitted
        with tarfile.open(fileobj=io.BytesIO(master.blobs[self.request.program])) as tar:
            tar.extractall(self.folder, filter="data")

    @property
    def files(self) -> list[InputFile]:
        if not self.request.input_list:
            return self.request.inputs
        lines = self.master.blobs[self.request.input_list].splitlines()
        return [msgspec.json.decode(line, type=InputFile) for line in lines]

    def run(self, seed: str = "0") -> list[bytes]:
        """The results of all chunks."""
        paths = []
        for each in self.files:
            paths.append(self.inputs / each.name)
            paths[-1].write_bytes(self.master.blobs[each.digest][each.offset : each.offset + each.size])
        command = [sys.executable, "-I", "-S", "-B", "-c", _RUN.format(folder=str(self.folder))]
        given = "\n".join(map(str, paths)).encode()
        done = subprocess.run(command, input=given, capture_output=True, check=False, env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.splitlines(keepends=True)


Call = tuple[Callable[..., Any], Sequence[Any]]


def sent(master: FakeMaster, tmp_path: Path, calls: Sequence[Call], chunk_size: int = 1, **rest: Any) -> Sent:
    with Calls(rest.pop("options", {}), **rest) as gathered:
        for function, args in calls:
            gathered.add(function, args, {})
        gathered.submit(Master(master.url, TOKEN), chunk_size)
    return Sent(master, tmp_path)


def ran(master: FakeMaster, tmp_path: Path, calls: Sequence[Call], **rest: Any) -> list[Outcome]:
    results = sent(master, tmp_path, calls, chunk_size=len(calls), **rest).run()
    return outcomes(results[0], len(calls))


def one(outcome: Outcome) -> Any:
    if outcome.error:
        raise outcome.error
    return outcome.value


def test_lambdas_closures_and_nested_functions(master: FakeMaster, tmp_path: Path) -> None:
    base = {"offset": 3}

    def inner(x: int) -> tuple[int, set[int]]:
        return x + base["offset"], {x}

    calls: list[Call] = [(lambda x: x * x, [7]), (inner, [1]), (functools.partial(pow, 2), [10]), (abs, [-3])]
    assert [one(each) for each in ran(master, tmp_path, calls)] == [49, (4, {1}), 1024, 3]


def test_a_module_travels_as_source_with_what_it_imports(master: FakeMaster, modules: Path, tmp_path: Path) -> None:
    package = modules / "lab" / "models"
    package.mkdir(parents=True)
    (modules / "lab" / "__init__.py").write_text("")
    (package / "__init__.py").write_text("from . import units\n")
    (package / "units.py").write_text("FACTOR = 2\n")
    (package / "unused.py").write_text("import not_there\n")
    (modules / "shared_helper.py").write_text("def twice(x): return 2 * x\n")
    (modules / "lab_tasks.py").write_text(
        "import json\nfrom lab.models import units\nimport shared_helper\nfrom dockercomp import Executor\n"
        "class Given:\n    def __init__(self, x): self.x = x\n"
        "def work(given): return shared_helper.twice(given.x) * units.FACTOR\n"
    )
    import lab_tasks  # type: ignore[import-not-found]

    found = sent(master, tmp_path, [(lab_tasks.work, [lab_tasks.Given(5)])])
    assert [one(each) for result in found.run() for each in outcomes(result, 1)] == [20]
    assert sorted(path.relative_to(found.folder).as_posix() for path in found.folder.rglob("lab*/**/*.py")) == [
        "lab/__init__.py", "lab/models/__init__.py", "lab/models/units.py",
    ]  # fmt: skip
    settings = json.loads((found.folder / "calls.json").read_text())
    assert settings["functions"][0][0] is False


def test_a_module_that_cannot_be_imported_there_travels_as_bytecode(
    master: FakeMaster, modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (modules / "drawing_tasks.py").write_text("import only_here\ndef square(x): return x * x\n")
    monkeypatch.setitem(sys.modules, "only_here", type(sys)("only_here"))
    import drawing_tasks  # type: ignore[import-not-found]

    assert [one(each) for each in ran(master, tmp_path, [(drawing_tasks.square, [4])])] == [16]


def test_what_another_python_pickled_is_refused_with_the_way_out(master: FakeMaster, tmp_path: Path) -> None:
    found = sent(master, tmp_path, [(lambda: 1, []), (abs, [-2])], chunk_size=2)
    settings = json.loads((found.folder / "calls.json").read_text())
    (found.folder / "calls.json").write_text(json.dumps({**settings, "python": [3, 99]}))
    first, second = outcomes(found.run()[0], 2)
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.raises(RemoteError, match=rf"Python 3\.99, but the image has Python {here}.*image=.*module file"):
        one(first)
    assert one(second) == 2


def test_an_error_of_the_function_comes_back_as_text_and_as_its_type(master: FakeMaster, tmp_path: Path) -> None:
    class OwnError(Exception):
        pass

    def fails(kind: type[Exception]) -> None:
        raise kind(f"no such thing as {object()!r}")

    first, second, third = ran(master, tmp_path, [(fails, [ValueError]), (fails, [OwnError]), (len, [[1, 2]])])
    with pytest.raises(ValueError, match=r"^ValueError: no such thing as <object object at 0x…>") as caught:
        one(first)
    assert isinstance(caught.value, RemoteError)
    assert "in fails" in caught.value.traceback and "dockercomp_inside" not in caught.value.traceback
    with pytest.raises(RemoteError, match="OwnError: no such"):
        one(second)
    assert one(third) == 2


def test_an_error_reads_the_same_on_every_machine(master: FakeMaster, tmp_path: Path) -> None:
    def fails() -> None:
        raise RuntimeError(f"{object()} {sorted({'a', 'b'})}")

    found = sent(master, tmp_path, [(fails, [])])
    assert found.run("1") == found.run("2")


@pytest.mark.parametrize("made", [object, lambda: open, threading.Lock])
def test_what_cannot_come_back_says_what_can(master: FakeMaster, tmp_path: Path, made: Callable[[], object]) -> None:
    [outcome] = ran(master, tmp_path, [(made, [])])
    with pytest.raises(RemoteError, match="return plain data: None, bool"):
        one(outcome)


def test_a_missing_module_says_where_it_is_missing(master: FakeMaster, tmp_path: Path) -> None:
    def needs() -> None:
        import hypothesis  # installed here, not there

        hypothesis.note("")

    def refers() -> object:
        return msgspec.json

    first, second = ran(master, tmp_path, [(needs, []), (refers, [])])
    with pytest.raises(RemoteError, match="No module named 'hypothesis'"):
        one(first)
    with pytest.raises(RemoteError, match=r"No module named 'msgspec'.*use an image that has this module"):
        one(second)


def test_the_initializer_is_called_once_and_its_error_is_every_calls(master: FakeMaster, tmp_path: Path) -> None:
    def prepare(value: list[int]) -> None:
        import builtins

        builtins.prepared = [*getattr(builtins, "prepared", []), *value]  # type: ignore[attr-defined]

    def look() -> list[int]:
        import builtins

        return builtins.prepared  # type: ignore[attr-defined,no-any-return]

    found = sent(master, tmp_path, [(look, []), (look, [])], initializer=prepare, initargs=([7],))
    assert [one(each) for result in found.run() for each in outcomes(result, 1)] == [[7], [7]]


def test_a_failing_initializer(master: FakeMaster, tmp_path: Path) -> None:
    def refuse() -> None:
        raise OSError("no licence")

    for each in ran(master, tmp_path, [(abs, [1]), (abs, [2])], initializer=refuse):
        with pytest.raises(RemoteError, match="OSError: no licence"):
            one(each)


def test_files_come_along(master: FakeMaster, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_text("y")
    found = sent(master, tmp_path, [(abs, [1])], options={"files": [tmp_path / "table.csv", str(tmp_path / "data")]})
    assert (found.folder / "table.csv").read_text() == "a,b\n"
    assert (found.folder / "data" / "x").read_text() == "y"


def test_very_many_chunks_are_listed_in_an_upload(master: FakeMaster, tmp_path: Path) -> None:
    found = sent(master, tmp_path, [(abs, [-n]) for n in range(2500)])
    assert found.request.inputs == [] and len(found.files) == 2500
    names = [each.name for each in found.files]
    assert names == sorted(names)
    assert [one(outcomes(each, 1)[0]) for each in found.run()] == list(range(2500))


def test_calls_are_dealt_into_chunks(master: FakeMaster, tmp_path: Path) -> None:
    found = sent(master, tmp_path, [(abs, [n]) for n in range(10)], chunk_size=4)
    assert [len(json.loads(each)) for each in found.run()] == [4, 4, 2]


def test_what_cannot_be_sent_is_told_at_once() -> None:
    lock = threading.Lock()
    with Calls({}) as calls:
        with pytest.raises(NotTravelling, match=r"the function .*<lambda> cannot be sent to other machines.*lock"):
            calls.add(lambda: lock, [], {})
        with pytest.raises(NotTravelling, match="cannot be sent to other machines"):
            calls.add(abs, [lock], {})
        assert len(calls) == 0


def test_options_are_those_of_a_job_file() -> None:
    options: CallOptions = {"memory": "512 MiB", "time_limit": "2 min", "quorum": 3, "compare": "json", "rtol": 1e-9}
    spec = spec_of(options, "<lambda>", "m:f")
    assert (spec.name, spec.image, spec.resources.memory, spec.resources.time_limit) == (
        "lambda", "dockercomp/python", 2**29, 120.0,
    )  # fmt: skip
    assert (spec.verify.quorum, spec.verify.compare, spec.verify.rtol) == (3, "json", 1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quorun": 2}, "no option 'quorun'"),
        ({"memory": "much"}, "not a size"),
        ({"quorum": 0}, "verify.quorum"),
        ({"cpus": "two"}, "cpus"),
    ],
)
def test_impossible_options_are_refused(options: Any, words: str) -> None:
    with pytest.raises(InvalidJob, match=words):
        spec_of(options, "f", "m:f")


def test_a_chunk_has_at_least_one_call(master: FakeMaster) -> None:
    with Client(master.url, TOKEN) as client:
        with pytest.raises(InvalidJob, match="at least one call, not 0"):
            client.map(abs, [1], chunk_size=0)
        with pytest.raises(InvalidJob, match="at least one call, not -1"):
            Executor(client=client).map(abs, [1], chunksize=-1)


def test_an_image_that_the_master_lacks(master: FakeMaster, tmp_path: Path) -> None:
    with pytest.raises(UnknownImage, match="dockercomp image push team/tool"):
        sent(master, tmp_path, [(abs, [1])], options={"image": "team/tool"})


@pytest.mark.parametrize("result", [b"", b"{}", b"[1]", b'[["value", 1], ["value", 2]]', b'[["error"]]', b"[" * 10**5])
def test_a_forged_result_is_an_error_of_each_call(result: bytes) -> None:
    [found] = outcomes(result, 1)
    with pytest.raises(RemoteError, match="cannot be read"):
        one(found)


def test_what_runs_inside_is_old_enough_for_any_image() -> None:
    import ast

    from dockercomp import inside

    for path in Path(inside.__file__).parent.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 6))


def test_folders_without_init_star_imports_and_broken_files(modules: Path) -> None:
    from dockercomp.modules import module_files

    (modules / "bare" / "deep").mkdir(parents=True)
    (modules / "bare" / "deep" / "one_module.py").write_text(
        "from bare.deep import two_module, nothing\nimport os.path\n"
    )
    (modules / "bare" / "deep" / "two_module.py").write_text("from broken_module import *\n")
    (modules / "broken_module.py").write_text("this is not Python\n")
    found = module_files(["bare.deep.one_module", "json.decoder", "hypothesis", "not_there_at_all"])
    assert sorted(found) == ["bare/deep/one_module.py", "bare/deep/two_module.py", "broken_module.py"]


def test_a_compiled_module_cannot_travel(modules: Path) -> None:
    from dockercomp.modules import module_files

    (modules / "quick_math.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    with pytest.raises(NotTravelling, match=r"quick_math is compiled .*put it into the image"):
        module_files(["quick_math"])
