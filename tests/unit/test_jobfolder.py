"""The job folder: what is packed, and that the same files always give the same bytes."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from dockercomp import jobfolder, jobprograms
from dockercomp.jobfile import JobFileError

JOB = """\
name = "x"
image = "debian"
[input]
split = "lines"
[map]
command = ["python3", "map.py"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "job"
    path.mkdir()
    (path / "job.toml").write_text(JOB)
    (path / "map.py").write_text("print(1)\n")
    return path


def packed(folder: Path) -> tuple[jobfolder.Packed, bytes]:
    target = io.BytesIO()
    return jobfolder.pack(folder, target), target.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {entry.name: entry for entry in archive}


def with_command(folder: Path, command: str) -> jobfolder.JobFolder:
    (folder / "job.toml").write_text(JOB.replace('["python3", "map.py"]', command))
    return jobfolder.load(folder)


def test_the_same_files_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "b").write_text("b")
    (folder / "a file with # and ü").write_text("a")
    first, data = packed(folder)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("sub/b", "map.py", "job.toml", "a file with # and ü"):  # another order, other times
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_bytes((folder / name).read_bytes())
        os.utime(copy / name, (1, 1))
    assert packed(copy) == (first, data)
    assert first.size == len(data)
    assert list(members(data)) == ["a file with # and ü", "job.toml", "map.py", "sub", "sub/b"]


def test_nothing_of_this_machine_is_packed_but_run_bits_are(folder: Path) -> None:
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o700)
    (folder / "map.py").chmod(0o600)
    found = members(packed(folder)[1])
    assert {(entry.uid, entry.gid, entry.uname, entry.mtime) for entry in found.values()} == {(0, 0, "", 0)}
    assert found["run.sh"].mode == 0o755
    assert found["map.py"].mode == 0o644


def test_caches_and_version_control_stay_behind(folder: Path) -> None:
    before = packed(folder)
    for name in ("__pycache__/map.cpython.pyc", ".git/HEAD", "map.pyc"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    assert packed(folder) == before


def test_a_link_inside_is_kept_and_one_to_outside_refused(folder: Path) -> None:
    (folder / "link.py").symlink_to("map.py")
    found = members(packed(folder)[1])
    assert found["link.py"].issym()
    assert found["link.py"].linkname == "map.py"
    (folder / "out").symlink_to("../../secret")
    with pytest.raises(JobFileError, match="outside of the job folder"):
        packed(folder)


def test_an_absolute_link_is_refused_wherever_it_leads(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "map.py")
    with pytest.raises(JobFileError, match="outside of the job folder"):
        packed(folder)


def test_what_is_no_file_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(JobFileError, match="neither a file"):
        packed(folder)


def test_a_folder_too_large_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobfolder, "LARGEST_PROGRAM", 100)
    with pytest.raises(JobFileError, match="pass data as INPUT"):
        packed(folder)


def test_a_missing_program_is_named_with_its_line(folder: Path) -> None:
    (folder / "map.py").unlink()
    with pytest.raises(JobFileError, match=r"job.toml, line 6: map.command: map.py is not in "):
        jobfolder.load(folder)


def test_a_script_needs_a_run_bit_or_a_first_line(folder: Path) -> None:
    (folder / "run.sh").write_text("sort\n")
    for command in ('["./run.sh"]', '["run.sh"]'):
        with pytest.raises(
            JobFileError, match=r"line 6: map.command: (./)?run.sh is not executable and has no first line"
        ):
            with_command(folder, command)
    (folder / "run.sh").chmod(0o755)
    with_command(folder, '["./run.sh"]')
    (folder / "run.sh").chmod(0o644)
    (folder / "run.sh").write_text("#!/bin/sh\nsort\n")
    with_command(folder, '["run.sh"]')


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ('["python3", "mpa.py"]', "(./)?mpa.py is not in .*; did you mean 'map.py'"),
        ('["./mpa.py"]', "(./)?mpa.py is not in .*; did you mean 'map.py'"),
        ('["pyhton3", "map.py"]', "there is no program pyhton3 in .*; did you mean 'python3'"),
        ('["mapp.py"]', "there is no program mapp.py in .*; did you mean 'map.py'"),
    ],
)
def test_a_slip_in_a_command_is_named_with_what_was_meant(folder: Path, command: str, words: str) -> None:
    with pytest.raises(JobFileError, match=rf"job.toml, line 6: map.command: {words}"):
        with_command(folder, command)


def test_programs_of_the_image_are_not_doubted(folder: Path) -> None:
    for command in ('["blastp", "-query", "{input}"]', '["/usr/bin/pyhton3"]', '["root.exe"]', '["gmx"]', '["gsort"]'):
        with_command(folder, command)


def test_setup_combine_and_reduce_are_checked_too(folder: Path) -> None:
    text = (folder / "job.toml").read_text()
    (folder / "job.toml").write_text('setup = ["./prepare"]\n' + text)
    with pytest.raises(JobFileError, match=r"line 1: setup: ./prepare is not in"):
        jobfolder.load(folder)
    (folder / "job.toml").write_text(text + '[combine]\ncommand = ["python3", "add.py"]\n')
    with pytest.raises(JobFileError, match=r"line 8: combine.command: add.py is not in"):
        jobfolder.load(folder)


@pytest.mark.parametrize("module", ["count.py", "count/__init__.py"])
def test_a_function_needs_its_module(folder: Path, module: str) -> None:
    text = JOB.replace('command = ["python3", "map.py"]', 'function = "count:run"')
    (folder / "job.toml").write_text(text)
    with pytest.raises(JobFileError, match=r"line 6: map.function: 'count:run' needs count.py"):
        jobfolder.load(folder)
    (folder / module).parent.mkdir(exist_ok=True)
    (folder / module).write_text("")
    assert jobfolder.load(folder).spec.map.function == "count:run"


@pytest.mark.parametrize(
    ("command", "file"),
    [
        (["python3", "map.py"], "map.py"),
        (["python3.11", "-u", "map.py", "other.py"], "map.py"),
        (["bash", "tools/run.sh"], "tools/run.sh"),
        (["./map"], "./map"),
        (["bin/map", "x.py"], "bin/map"),
        (["sh", "-c", "sort | uniq -c"], None),
        (["python3", "-m", "this"], None),
        (["python3", "/opt/tool.py"], None),
        (["/usr/bin/env", "python3"], None),
        (["awk", "{print $1}"], None),
        (["grep", "-c", "main.py"], None),
        (["perl"], None),
    ],
)
def test_which_file_a_command_starts(command: list[str], file: str | None) -> None:
    assert jobprograms.script(command) == file
