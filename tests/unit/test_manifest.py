"""The manifest: what stands on a machine because of us, written before it does; read alike from Python and shell."""

import subprocess
from pathlib import Path

from dockercomp.machine import manifest
from dockercomp.machine.manifest import Entry

SETUP = Path(__file__).resolve().parents[2] / "dockercomp" / "machine" / "setup.sh"


def shell(home: Path, script: str) -> None:
    subprocess.run(
        ["sh", "-euc", f'. "$0"; {script}', str(SETUP)], check=True, env={"DC_HOME": str(home), "PATH": "/usr/bin:/bin"}
    )


def test_entries_come_in_their_order(tmp_path: Path) -> None:
    manifest.record(tmp_path, "package", "gcc")
    manifest.record(tmp_path, "directory", "/etc/x", existed=True)
    assert manifest.entries(tmp_path) == [Entry("package", "gcc", False), Entry("directory", "/etc/x", True)]


def test_the_first_record_of_a_thing_decides(tmp_path: Path) -> None:
    manifest.record(tmp_path, "package", "gcc", existed=False)
    manifest.record(tmp_path, "package", "gcc", existed=True)
    assert manifest.entries(tmp_path) == [Entry("package", "gcc", False)]


def test_what_was_taken_away_again_is_gone_and_may_come_back(tmp_path: Path) -> None:
    manifest.record(tmp_path, "file", "/x")
    manifest.forget(tmp_path, "file", "/x")
    assert manifest.entries(tmp_path) == []
    manifest.record(tmp_path, "file", "/x", existed=True)
    assert manifest.entries(tmp_path) == [Entry("file", "/x", True)]


def test_a_torn_last_line_hides_nothing(tmp_path: Path) -> None:
    manifest.record(tmp_path, "file", "/x")
    with manifest.path_of(tmp_path).open("a") as file:
        file.write('{"kind":"file","na')
    assert manifest.entries(tmp_path) == [Entry("file", "/x", False)]
    manifest.record(tmp_path, "file", "/y")
    assert [entry.name for entry in manifest.entries(tmp_path)] == ["/x", "/y"]


def test_none_where_nothing_was_recorded(tmp_path: Path) -> None:
    assert manifest.entries(tmp_path) == []


def test_shell_scripts_write_the_same_lines(tmp_path: Path) -> None:
    shell(tmp_path, "record package gcc false; record file '/a \"b\\c' true; record mount /m false; forget mount /m")
    assert manifest.entries(tmp_path) == [Entry("package", "gcc", False), Entry("file", '/a "b\\c', True)]


def test_shell_scripts_see_what_is_recorded(tmp_path: Path) -> None:
    manifest.record(tmp_path, "package", "gcc")
    before = manifest.path_of(tmp_path).read_text()
    shell(tmp_path, "record package gcc true")
    assert manifest.path_of(tmp_path).read_text() == before
    shell(tmp_path, "forget package gcc; record package gcc true")
    assert manifest.entries(tmp_path) == [Entry("package", "gcc", True)]


def test_the_folders_above_a_new_home_are_recorded_outermost_first(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b" / "home"
    shell(home, "prepare_home; prepare_home")
    assert manifest.entries(home) == [
        Entry("directory", str(tmp_path / "a"), False),
        Entry("directory", str(tmp_path / "a" / "b"), False),
    ]
    shell(tmp_path / "a" / "b" / "other", "prepare_home")
    assert manifest.entries(tmp_path / "a" / "b" / "other") == []
