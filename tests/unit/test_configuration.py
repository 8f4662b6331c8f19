"""The `configuration` file: one grammar, read alike by daemons and by shell scripts."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockercomp.machine import configuration
from dockercomp.machine.configuration import KNOWN_KEYS, ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
READER = ROOT / "dockercomp" / "machine" / "configuration.sh"

GOOD = [
    ("DC_HOST=127.0.0.1", "127.0.0.1"),
    ("DC_HOST=", ""),
    ("export DC_HOST=a.example.org", "a.example.org"),
    ("  DC_HOST=x  ", "x"),
    ("DC_HOST=x # a comment", "x"),
    ("DC_HOST=x#a comment", "x"),
    ("DC_HOST='two words'", "two words"),
    ("DC_HOST='$(reboot) `reboot` \"x\" \\'", '$(reboot) `reboot` "x" \\'),
    ("DC_HOST='' # nothing", ""),
    ("DC_HOST=a:b/c@d,e+f-g._", "a:b/c@d,e+f-g._"),
    ("# only a comment\n\nDC_HOST=x", "x"),
    ("DC_HOST=x\r", "x"),
]
BAD = [
    "DC_HOST",
    "DC_HOST = x",
    "DC_HOST=two words",
    "DC_HOST=$(reboot)",
    "DC_HOST=`reboot`",
    "DC_HOST=x;reboot",
    'DC_HOST="x"',
    "DC_HOST='x",
    "DC_HOST='x'y",
    "DC_HOST='x''y'",
    "dc_host=x",
    "PATH=/tmp",
    "LD_PRELOAD=x",
    "=x",
    "reboot",
    "export reboot",
]


def shell(path: Path, key: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = '. "$1"; read_configuration "$2"; eval "printf %s \\"\\${$3-}\\""'
    return subprocess.run(
        ["sh", "-euc", script, "sh", str(READER), str(path), key],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environ},
    )


@pytest.mark.parametrize(("text", "value"), GOOD)
def test_both_readers_understand(tmp_path: Path, text: str, value: str) -> None:
    path = tmp_path / "configuration"
    path.write_bytes(text.encode())
    assert configuration.parse(text)["DC_HOST"] == value
    done = shell(path, "DC_HOST", {})
    assert (done.returncode, done.stdout) == (0, value), done.stderr


@pytest.mark.parametrize("line", BAD)
def test_both_readers_refuse_with_file_and_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "configuration"
    path.write_text(f"DC_PORT=1\n{line}\n")
    with pytest.raises(ConfigurationError, match=f"{path}, line 2"):
        configuration.read(path, {})
    done = shell(path, "DC_HOST", {})
    assert done.returncode == 78
    assert f"{path}, line 2" in done.stderr


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\0\n\r\v\f\x1c\x1d\x1e"), max_size=30))
def test_what_one_reader_refuses_the_other_does_not_take(tail: str) -> None:
    line = f"DC_HOST={tail}"
    try:
        expected = configuration.parse(line)["DC_HOST"]
    except ConfigurationError:
        expected = None
    done = _piped(line)
    assert (done.stdout if done.returncode == 0 else None) == expected


def _piped(line: str) -> subprocess.CompletedProcess[str]:
    script = '. "$1"; read_configuration /dev/stdin; printf %s "$DC_HOST"'
    return subprocess.run(
        ["sh", "-euc", script, "sh", str(READER)],
        input=line,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )


def test_the_environment_wins_also_when_it_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    path.write_text("DC_HOST=file\nDC_PORT=1\n")
    assert configuration.read(path, {"DC_HOST": "environment"}) == {"DC_HOST": "environment", "DC_PORT": "1"}
    assert configuration.read(path, {"DC_HOST": ""}) == {"DC_PORT": "1"}
    assert shell(path, "DC_HOST", {"DC_HOST": "environment"}).stdout == "environment"
    assert shell(path, "DC_HOST", {"DC_HOST": ""}).stdout == ""


@pytest.mark.parametrize(
    ("content", "line"),
    [("DC_PORT=1\r\nDC_NAME='Küche'\n".encode("latin-1"), 2), ("DC_PORT=1\n".encode("utf-16"), 1)],
)
def test_a_file_that_is_not_utf_8_is_refused_with_line_and_mend(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "configuration"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{path}, line {line}: not UTF-8. Save the file as UTF-8"):
        configuration.read(path, {})


def test_a_missing_file_counts_as_empty(tmp_path: Path) -> None:
    assert configuration.read(tmp_path / "none", {}) == {}
    assert shell(tmp_path / "none", "DC_HOST", {}).returncode == 0


def test_every_known_key_passes_the_shell_reader(tmp_path: Path) -> None:
    path = tmp_path / "configuration"
    path.write_text("".join(f"{key}=value-of-{key}\n" for key in KNOWN_KEYS))
    for key in KNOWN_KEYS:
        assert shell(path, key, {}).stdout == f"value-of-{key}"


def test_an_unknown_key_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="line 1: unknown key DC_HOTS; did you mean DC_HOST"):
        configuration.parse("DC_HOTS=x")


def test_the_repositorys_own_file_explains_every_key() -> None:
    text = (ROOT / "configuration").read_text()
    assert configuration.parse(text) == {"DC_HOST": "127.0.0.1", "DC_PORT": "8080"}
    for key in KNOWN_KEYS:
        assert f"{key}=" in text, key


@pytest.mark.parametrize(
    ("text", "size"), [("512MiB", 512 * 2**20), ("1.5 GiB", 3 * 2**29), ("7", 7), ("2GB", 2 * 10**9), ("0B", 0)]
)
def test_sizes(text: str, size: int) -> None:
    assert configuration.size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1MiB", "1 mib", "1e3", "12 PiB", "9000TiB", "9" * 400])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigurationError, match="DC_MEMORY"):
        configuration.size(text, "DC_MEMORY")


def test_numbers_have_bounds() -> None:
    assert configuration.number("8080", "DC_PORT", 1, 65535) == 8080
    for wrong in ("x", "0", "65536", "nan"):
        with pytest.raises(ConfigurationError, match="DC_PORT"):
            configuration.number(wrong, "DC_PORT", 1, 65535)
