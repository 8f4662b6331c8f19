"""The benchmarks' command and what it writes, which other programs read."""

import importlib
import inspect
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import control, curve, job, peers, wordcount
from bench.__main__ import NAMES, OPTIONS, main
from bench.peers import chunks
from bench.rows import row, write
from bench.text import text


def test_the_command_names_its_benchmarks() -> None:
    said = CliRunner().invoke(main, ["--help"])
    assert said.exit_code == 0
    assert all(name in said.output for name in (*NAMES, "--peers", "--runs", "--json"))


def test_an_unknown_peer_is_refused_before_anything_is_measured() -> None:
    said = CliRunner().invoke(main, ["job", "--peers", "pool,dusk"])
    assert said.exit_code == 2
    assert "no peer 'dusk'" in said.output


def test_rows_have_the_fields_that_others_read(tmp_path: Path) -> None:
    found = row("dockercomp", "quorum 2", "wall_s", "s", [3.0, 1.0, 2.0])
    write(tmp_path / "new" / "job.json", "job", [found])
    document = json.loads((tmp_path / "new" / "job.json").read_text())
    assert document["bench"] == "job"
    assert {"cpus", "memory_gib", "system", "python"} <= set(document["machine"])
    assert document["rows"] == [
        {"system": "dockercomp", "variant": "quorum 2", "metric": "wall_s", "unit": "s",
         "median": 2.0, "min": 1.0, "max": 3.0, "runs": 3}
    ]  # fmt: skip


def test_peers_are_chosen_by_name() -> None:
    assert peers.chosen("none") == []
    assert peers.chosen("all") == list(peers.MODULES)
    assert peers.chosen("ray, pool") == ["ray", "pool"]


@pytest.mark.parametrize("size", [1, 999, 10_000, 123_456])
def test_the_chunks_of_a_text_are_its_lines(tmp_path: Path, size: int) -> None:
    source = text(tmp_path, 100_000)
    found = list(chunks.blocks(source, size))
    assert b"".join(found) == source.read_bytes()
    assert all(block.endswith(b"\n") for block in [each for each in found if each][:-1])


def test_the_same_text_is_made_again(tmp_path: Path) -> None:
    assert text(tmp_path / "a", 50_000).read_bytes() == text(tmp_path / "b", 50_000).read_bytes()


def test_words_counted_in_chunks_and_merged_are_those_of_the_whole(tmp_path: Path) -> None:
    source = text(tmp_path, 200_000)
    whole = wordcount.count(source.read_bytes())
    assert wordcount.merge(map(wordcount.count, chunks.blocks(source, 10_000))) == whole
    assert sum(int(line.split("\t")[1]) for line in whole.decode().splitlines()) == len(source.read_text().split())


def test_ratios_are_printed_against_every_peer(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        row("dockercomp", "verification off", "wall_s", "s", [12.0]),
        row("dockercomp", "quorum 2", "wall_s", "s", [20.0]),
        row("pool", job.PEERS, "wall_s", "s", [10.0]),
    ]
    job.print_ratios(rows)
    assert capsys.readouterr().out == "dockercomp, verification off / pool: 1.20\n"


def test_the_scaling_curve_is_a_picture_and_a_table(tmp_path: Path) -> None:
    drawn = curve.files("a & b", [(1, 80.0), (2, 41.0), (4, 21.0), (8, 11.0)])
    write(tmp_path / "scaling.json", "scaling", [row("a", "b", "c", "s", [1.0])], drawn)
    assert (tmp_path / "scaling.csv").read_text().splitlines()[1:] == ["1,80", "2,41", "4,21", "8,11"]
    picture = ET.fromstring((tmp_path / "scaling.svg").read_text())
    assert len(picture.findall("{*}circle")) == 4


def test_percentiles_go_by_the_nearest_rank() -> None:
    assert control.percentile(95, range(1, 21)) == 19
    assert control.percentile(50, [3.0, 1.0, 2.0]) == 2.0
    assert control.percentile(99, [7.0]) == 7.0


@pytest.mark.parametrize("wrong", ["0", "2,x", "", "2,,4"])
def test_numbers_of_clients_are_above_zero(wrong: str) -> None:
    said = CliRunner().invoke(main, ["control", "--clients", wrong])
    assert said.exit_code == 2 and "numbers above zero" in said.output


def test_every_benchmark_is_a_module_that_takes_its_options() -> None:
    for name, options in OPTIONS.items():
        parameters = inspect.signature(importlib.import_module(f"bench.{name}").rows).parameters
        assert list(parameters)[:2] == ["runs", "peers"] and set(parameters) - {"runs", "peers"} == set(options)
