"""Which paths a pattern of `outputs` stands for."""

import pytest

from dockercomp.protocol.patterns import matches, matching


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("out.txt", "out.txt"),
        ("./out.txt", "out.txt"),
        ("*.csv", "a b.csv"),
        ("outputs/*.lang", "outputs/2020-01-01.lang"),
        ("**/*.csv", "a.csv"),
        ("**/*.csv", "x/y/a.csv"),
        ("a/**/b", "a/b"),
        ("a/**/**/b", "a/x/b"),
        ("**", "a"),
        ("**", "a/b/c"),
        ("out/**", "out/x/y"),
        ("out/", "out/x/y"),
        ("out/**/", "out/x"),
        ("day-[0-9]?.txt", "day-07.txt"),
        ("[!a]*", "ü#.txt"),
    ],
)
def test_a_path_of_the_pattern(pattern: str, path: str) -> None:
    assert matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.csv", "x/a.csv"),
        ("out/*", "out/x/y"),
        ("out/**", "out"),
        ("out/", "out"),
        ("?", "/"),
        ("a[!b]c", "a/c"),
        ("*.CSV", "a.csv"),
        ("a/**/b", "a/bc"),
        ("", "a"),
    ],
)
def test_another_path(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


def test_many_wild_folders_do_not_take_for_ever() -> None:
    assert not matches("/".join(["**"] * 30 + ["x"]), "/".join("a" * 200))
    assert matching("**/x", ["x", "y", "a/x"]) == ["x", "a/x"]
