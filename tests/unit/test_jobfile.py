"""The job file: what is read, and what is said of each mistake."""

from pathlib import Path

import pytest

from dockercomp import jobfile
from dockercomp.jobfile import JobFileError
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, ResourcesSpec, VerifySpec

FULL = """\
name = "wordcount"
image = "dockercomp/python"            # any image; pinned to its digest at submission
retries = 5
[input]
split = "lines"                        # lines | bytes | records | files | range
chunk_size = "8 MiB"                   # lines, bytes; files: files_per_chunk
[map]
command = ["python3", "map.py"]        # chunk on stdin, result on stdout
# function = "map:count"               # instead: a Python function
[reduce]                               # optional
command = ["python3", "reduce.py"]
[verify]
policy = "adaptive"                    # none | quorum | adaptive
quorum = 2
compare = "bytes"
[resources]
cpus = 1
memory = "256 MiB"
disk = "1 GiB"
time_limit = "10 min"
[environment]
OMP_NUM_THREADS = "1"
"""
SMALL = """\
name = "x"
image = "debian"
[input]
split = "lines"
[map]
command = ["cat"]
"""


def complaint(text: str) -> str:
    with pytest.raises(JobFileError) as caught:
        jobfile.parse(text)
    return str(caught.value)


def test_the_whole_notation_is_read() -> None:
    assert jobfile.parse(FULL).spec == JobSpec(
        name="wordcount",
        image="dockercomp/python",
        retries=5,
        input=InputSpec(split="lines", chunk_size=8 * 2**20),
        map=ProgramSpec(command=["python3", "map.py"]),
        reduce=ReduceSpec(command=["python3", "reduce.py"]),
        verify=VerifySpec(policy="adaptive", quorum=2),
        resources=ResourcesSpec(cpus=1.0, memory=256 * 2**20, disk=2**30, time_limit=600.0),
        environment={"OMP_NUM_THREADS": "1"},
    )


def test_a_small_file_gets_the_defaults() -> None:
    spec = jobfile.parse(SMALL).spec
    assert spec.verify == VerifySpec()
    assert spec.reduce is None


def test_a_range_split_is_read() -> None:
    text = SMALL.replace('"lines"', '"range"\nstart = -5\nstop = 1_000_000_000\nper_chunk = 10')
    assert jobfile.parse(text).spec.input == InputSpec(split="range", start=-5, stop=10**9, per_chunk=10)


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("8 MiB", 8 * 2**20), ("256MiB", 2**28), ("1.5 GiB", 3 * 2**29), ("512 B", 512), ("2 MB", 2_000_000)],
)
def test_sizes(text: str, bytes_: int) -> None:
    assert jobfile.size(text) == bytes_


@pytest.mark.parametrize(
    ("text", "seconds"), [("10 min", 600.0), ("30 s", 30.0), ("1h", 3600.0), ("500 ms", 0.5), ("2 d", 172800.0)]
)
def test_durations(text: str, seconds: float) -> None:
    assert jobfile.duration(text) == seconds


@pytest.mark.parametrize("wrong", ["8", "8 MiBB", "MiB", "", "-1 MiB", "8 mib", 8, None, True, ["8 MiB"]])
def test_what_is_not_a_size(wrong: object) -> None:
    with pytest.raises(ValueError, match="8 MiB"):
        jobfile.size(wrong)


def test_an_unknown_key_is_named_with_line_table_and_nearest_key() -> None:
    assert complaint(FULL.replace("chunk_size", "chunk_sise")) == (
        "job.toml, line 6: unknown key 'chunk_sise' in [input]; did you mean 'chunk_size'?"
    )


def test_an_unknown_table_is_named() -> None:
    assert complaint(SMALL + "[resource]\ncpus = 1\n") == (
        "job.toml, line 7: unknown key 'resource'; did you mean 'resources'?"
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('memory = "256 MiB"', "memory = 256", "line 18: resources.memory: 256 is not a size"),
        ('memory = "256 MiB"', 'memory = "256 MiBs"', "line 18: resources.memory: '256 MiBs' is not a size"),
        ('time_limit = "10 min"', 'time_limit = "10 minutes"', "line 20: resources.time_limit: '10 minutes' is not a"),
        ("quorum = 2", 'quorum = "2"', "line 14: verify.quorum: must be a whole number"),
        ("quorum = 2", "quorum = true", "line 14: verify.quorum: must be a whole number"),
        ("quorum = 2", "quorum = 0", "line 14: verify.quorum: must be between 1 and 15"),
        ("cpus = 1", 'cpus = "1"', "line 17: resources.cpus: must be a number"),
        ('split = "lines" ', 'split = "line" ', 'line 5: input.split: \'line\' is not one of "lines", "bytes"'),
        ('compare = "bytes"', 'compare = "json"', "line 15: verify.compare: 'json' is not supported yet"),
        ('["python3", "map.py"]', '"python3 map.py"', "line 8: map.command: must be a list of texts"),
        ("# function", "function", "line 7: map: needs exactly one of command and function"),
        ("chunk_size =", "per_chunk =", "line 6: input.per_chunk: must be a whole number"),
        ('OMP_NUM_THREADS = "1"', "OMP_NUM_THREADS = 1", "line 21: environment: OMP_NUM_THREADS must be a text"),
        ("[reduce] ", "[reduce]\nfan_in = 16\n", "line 11: reduce.fan_in is not supported yet"),
        ("# function = ", "outputs = ['x'] # ", "line 9: map.outputs is not supported yet"),
        ('name = "wordcount"\n', "", "job.toml: name is missing"),
        ("retries = 5", "retries = 500", "line 3: retries: must be between 1 and 100"),
        ('"map.py"]', '"map.py", "{start}"]', "line 8: map.command: {start} stands for a chunk's numbers"),
        ("retries = 5", "retries == 5", "line 3: not TOML: "),
        ("retries = 5", "name = 5", "line 3: not TOML: "),
    ],
)
def test_each_mistake_is_named_with_its_line(before: str, after: str, message: str) -> None:
    assert before in FULL
    found = complaint(FULL.replace(before, after, 1))
    assert (f"job.toml, {message}" if message.startswith("line") else message) in found


def test_a_key_of_another_split_is_refused() -> None:
    found = complaint(SMALL.replace('"lines"', '"range"\nstop = 10\nchunk_size = "1 KiB"'))
    assert found == (
        'job.toml, line 6: input.chunk_size belongs to split = "lines", "bytes" or "records", not to \'range\''
    )


@pytest.mark.parametrize(("split", "key"), [("range", "stop"), ("records", "record_size")])
def test_a_key_that_a_split_needs_is_missed(split: str, key: str) -> None:
    assert f"line 3: input.{key} is missing" in complaint(SMALL.replace('"lines"', f'"{split}"'))


def test_missing_tables_are_named_together() -> None:
    found = complaint('name = "x"\n')
    assert found.splitlines() == [
        "job.toml: image is missing",
        "job.toml: the table [input] is missing",
        "job.toml: the table [map] is missing",
    ]


def test_inline_and_dotted_keys_are_read_and_located() -> None:
    text = SMALL.replace('[input]\nsplit = "lines"\n', 'input = {split = "lines"}\nverify.quorum = 99\n')
    assert complaint(text) == "job.toml, line 4: verify.quorum: must be between 1 and 15"


def test_a_table_written_as_a_value() -> None:
    assert "line 3: 'verify' must be a table" in complaint(SMALL.replace("[input]", "verify = 2\n[input]"))


def test_a_folder_without_a_job_file(tmp_path: Path) -> None:
    with pytest.raises(JobFileError, match=r"has no job\.toml; make a job folder with: dockercomp init"):
        jobfile.load(tmp_path)
    with pytest.raises(JobFileError, match="is not a folder"):
        jobfile.load(tmp_path / "none")


def test_a_job_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(JobFileError, match="is not UTF-8"):
        jobfile.load(tmp_path)
