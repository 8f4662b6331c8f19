"""The job file: what is read, and what is said of each mistake."""

from pathlib import Path

import pytest

from dockercomp import jobfile
from dockercomp.jobfile import JobFileError
from dockercomp.protocol.orders import (
    ColumnRule,
    InputSpec,
    JobSpec,
    PlotSpec,
    ProgramSpec,
    ReduceSpec,
    ResourcesSpec,
    VerifySpec,
)

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


RICH = """\
name = "sweep"
image = "debian"
setup = ["sh", "-c", "cp model $DC_SETUP"]
priority = -3
reuse = false
notify = "mailto:ada@lab.example"
[input]
split = "product"
[input.parameters]
seed = [1, 2, 3]
"größe" = [0.5, 1.0]
mode = ["a b", true]
[map]
command = ["./simulate", "--seed={seed}", "{mode}"]
[combine]
command = ["./add"]
[reduce]
function = "merge:all"
partitions = 4
sort = true
[verify]
compare = "csv"
rtol = 1e-9
[verify.columns."time of day"]
compare = "ignore"
[verify.columns.x]
compare = "number"
ulp = 4
[[plots]]
kind = "bar"
x = 1
y = "count"
[[plots]]
kind = "line"
y = ["a", 3]
sort = "y"
"""


def test_sweeps_shuffles_columns_and_plots_are_read() -> None:
    text = RICH.replace('"größe"', "size")
    assert jobfile.parse(text).spec == JobSpec(
        name="sweep",
        image="debian",
        setup=["sh", "-c", "cp model $DC_SETUP"],
        priority=-3,
        reuse=False,
        notify=["mailto:ada@lab.example"],
        input=InputSpec(split="product", parameters={"seed": [1, 2, 3], "size": [0.5, 1.0], "mode": ["a b", True]}),
        map=ProgramSpec(command=["./simulate", "--seed={seed}", "{mode}"]),
        combine=ProgramSpec(command=["./add"]),
        reduce=ReduceSpec(function="merge:all", partitions=4, sort=True),
        verify=VerifySpec(
            compare="csv",
            rtol=1e-9,
            columns={"time of day": ColumnRule(compare="ignore"), "x": ColumnRule(compare="number", ulp=4)},
        ),
        plots=[PlotSpec(kind="bar", x="1", y=["count"]), PlotSpec(kind="line", y=["a", "3"], sort="y")],
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("mode", "mode2", "line 11: input.parameters.größe: is not a name made of letters"),
        ("[1, 2, 3]", "1", "line 10: input.parameters.seed: must be a list of texts, numbers, true or false"),
        ("[1, 2, 3]", "[1, [2]]", "line 10: input.parameters.seed: must be a list of texts, numbers, true or false"),
        ("ulp = 4", "ulps = 4", "line 28: unknown key 'ulps' in [verify.columns.x]; did you mean 'ulp'?"),
        ("ulp = 4", "ulp = -4", "line 28: verify.columns.x.ulp: must be between 0 and 2^52"),
        ('compare = "ignore"', "rtol = 1", "line 24: verify.columns.time of day: has a tolerance, so it needs compare"),
        ('kind = "line"', 'kind = "lime"', 'line 34: plots.2.kind: \'lime\' is not one of "bar", "line"'),
        ('kind = "line"', "top = -1", "line 33: plots.2.kind is missing"),
        ('sort = "y"', "bins = 0", "line 36: plots.2.bins: must be between 1 and 10000"),
        ("x = 1", "x = 0", "line 31: plots.1.x: must be a column"),
        ('kind = "bar"', "partitions = 1", "line 30: unknown key 'partitions' in [plots.1]; it belongs into [reduce]"),
        (
            '[[plots]]\nkind = "bar"\nx = 1\ny = "count"\n[[plots]]',
            "[plots]",
            "line 29: 'plots' must be written [[plots]]",
        ),
        ("notify = ", 'notify = ["", 1] #', "line 6: notify: must be a list of texts"),
        ("notify = ", 'notify = "ada@lab" #', "line 6: notify: 'ada@lab' is neither https://"),
        ("reuse = false", "reuse = 0", "line 5: reuse: must be true or false"),
        ("priority = -3", "priority = 101", "line 4: priority: must be between -100 and 100"),
        (
            'split = "product"',
            'split = "product"\nper_chunk = 2',
            "map.command: {mode} has one value only with per_chunk = 1",
        ),
        ('split = "product"', 'split = "product"\nfetch = "workers"', 'line 9: input.fetch belongs to split = "lines"'),
        (
            "partitions = 4",
            "fan_in = 4\npartitions = 4",
            "line 19: reduce.fan_in: makes a tree that ends in one reducer",
        ),
    ],
)
def test_mistakes_in_nested_tables_are_named_with_their_line(before: str, after: str, message: str) -> None:
    assert before in RICH
    text = RICH.replace(before, after, 1)
    assert f"job.toml, {message}" in complaint(text) or message in complaint(text)


def test_a_question_needs_no_image_and_no_program() -> None:
    text = SMALL.replace('image = "debian"\n', "").replace('"lines"', '"files"')
    text = text.replace('command = ["cat"]', 'question = "Cat or dog?"\nchoices = ["cat", "dog"]')
    assert jobfile.parse(text).spec.map == ProgramSpec(question="Cat or dog?", choices=["cat", "dog"])
    assert "image is missing" in complaint(text + '[reduce]\ncommand = ["cat"]\n')


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
        ('compare = "bytes"', 'compare = "byte"', "line 15: verify.compare: 'byte' is not one of"),
        ('compare = "bytes"', "rtol = 1e-9", "line 15: verify.rtol: compares numbers: with compare ="),
        ('["python3", "map.py"]', '"python3 map.py"', "line 8: map.command: must be a list of texts"),
        ("# function", "function", "line 7: map: needs exactly one of command and function"),
        ("chunk_size =", "per_chunk =", "line 6: input.per_chunk: must be a whole number"),
        ('OMP_NUM_THREADS = "1"', "OMP_NUM_THREADS = 1", "line 22: environment.OMP_NUM_THREADS: must be a text"),
        ("[reduce] ", "[reduce]\nfan_in = 1\n", "line 11: reduce.fan_in: must be between 2 and 10000, or 0"),
        ("# function = ", "outputs = ['/x'] # ", "line 9: map.outputs: '/x' must name files below the working"),
        (
            "# function = ",
            "sort = true # ",
            "line 9: unknown key 'sort' in [map]; it belongs into [reduce] or into [[plots]]",
        ),
        (
            "cpus = 1",
            "priority = 1",
            "line 17: unknown key 'priority' in [resources]; it belongs to the top, before the",
        ),
        ("cpus = 1", "gpus = 1", "line 17: jobs that need a GPU cannot be run yet"),
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
        'job.toml, line 6: input.chunk_size belongs to split = "lines", "bytes", "records", "csv" or "jsonl", not to'
        " 'range'"
    )


@pytest.mark.parametrize(("split", "key"), [("range", "stop"), ("records", "record_size"), ("product", "parameters")])
def test_a_key_that_a_split_needs_is_missed(split: str, key: str) -> None:
    assert f"line 3: input.{key} is missing" in complaint(SMALL.replace('"lines"', f'"{split}"'))


def test_missing_tables_are_named_together() -> None:
    found = complaint('name = "x"\n')
    assert found.splitlines() == [
        "job.toml: the table [input] is missing",
        "job.toml: the table [map] is missing",
        "job.toml: image is missing",
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


def test_the_least_and_the_most_width_and_a_sweep_are_the_jobs_to_say() -> None:
    told = jobfile.parse(SMALL + "[resources]\ncpus = 8\nleast_cpus = 2\nsweep = true\n").spec.resources
    assert (told.cpus, told.least_cpus, told.sweep) == (8.0, 2.0, True)
    assert "least_cpus: must be between 0 and cpus, which is 1" in complaint(SMALL + "[resources]\nleast_cpus = 2\n")
