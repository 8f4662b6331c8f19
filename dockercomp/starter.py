"""The job folders that `dockercomp init` makes: each runs as it is, to be changed into one's own."""

from pathlib import Path

from .jobfile import JobFileError

_HEAD = """\
name = "{name}"
image = "dockercomp/python"            # any image that the master has: dockercomp image ls, dockercomp image push NAME
"""
_LINES = """
[input]
split = "lines"                        # lines | bytes | records | files | csv | jsonl | range | product
chunk_size = "1 MiB"                   # whole lines, about so many bytes a chunk
"""
_TAIL = """
[verify]
policy = "quorum"                      # each result counts once `quorum` different clients agree on it
quorum = 2

[resources]
cpus = 1
memory = "256 MiB"
time_limit = "10 min"                  # for one chunk
"""

_COMMAND = """
[map]
command = ["sh", "map.sh"]             # a chunk on standard input, its result on standard output; any program
"""
_MAP_SH = """\
#!/bin/sh
# Upper case. The results of all chunks are joined in the order of the chunks.
export LC_ALL=C
exec tr a-z A-Z
"""

_FUNCTION = """
[map]
function = "lengths:count"             # module:name; gets the chunk as bytes, returns bytes or text

[reduce]                               # optional
function = "lengths:merge"             # gets an iterator over the results of all chunks
"""
_LENGTHS = '''\
"""How many words have how many letters."""

from collections import Counter


def count(chunk: bytes) -> str:
    return _text(Counter(len(word) for word in chunk.decode().split()))


def merge(results) -> str:
    lengths = Counter()
    for result in results:
        for line in result.decode().splitlines():
            length, times = line.split("\\t")
            lengths[int(length)] += int(times)
    return _text(lengths)


def _text(lengths: Counter) -> str:
    """Sorted, so that equal input gives equal bytes."""
    return "".join(f"{length}\\t{lengths[length]}\\n" for length in sorted(lengths))
'''

_MAPREDUCE = """
[map]
command = ["python3", "map.py"]        # a chunk on standard input, its result on standard output

[reduce]                               # optional; without it the results are joined in the order of the chunks
command = ["python3", "reduce.py"]     # all results of map on standard input
"""
_MAP = '''\
"""Counts the words of some lines: one `word<TAB>count` a line, sorted, so that equal input gives equal bytes."""

import sys
from collections import Counter

words = Counter(word for line in sys.stdin for word in line.split())
for word in sorted(words):
    print(f"{word}\\t{words[word]}")
'''
_REDUCE = '''\
"""Adds the counts of all chunks, most frequent first."""

import sys
from collections import Counter

words = Counter()
for line in sys.stdin:
    word, _, count = line.rstrip("\\n").rpartition("\\t")
    words[word] += int(count)
for word, count in sorted(words.items(), key=lambda pair: (-pair[1], pair[0])):
    print(f"{word}\\t{count}")
'''

_FILES = """
[input]
split = "files"                        # each chunk is one file (or files_per_chunk of them), whole
include = ["*.txt"]                    # of the folder that is submitted

[map]
command = ["python3", "map.py", "--input={input}", "--output={output_dir}"]
outputs = ["*.counts", "*.longest"]    # the files in {output_dir} that make up the result
"""
_MAP_FILES = '''\
"""Writes two files for each input: how many lines and words it has, and its longest word."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--input", type=Path)
parser.add_argument("--output", type=Path)
given = parser.parse_args()

text = given.input.read_text(encoding="utf-8")
words = text.split()
(given.output / f"{given.input.stem}.counts").write_text(f"{len(text.splitlines())}\\t{len(words)}\\n")
(given.output / f"{given.input.stem}.longest").write_text(max(words, key=len, default="") + "\\n", encoding="utf-8")
'''

_EXAMPLE = "so much depends upon\na red wheel barrow\nglazed with rain water\nbeside the white chickens\n"
_ANOTHER = "rain in the\nwheel tracks\n"

_FOLDERS: dict[str, dict[str, str]] = {
    "mapreduce": {"job.toml": _HEAD + _LINES + _MAPREDUCE + _TAIL, "map.py": _MAP, "reduce.py": _REDUCE},
    "command": {"job.toml": _HEAD + _LINES + _COMMAND + _TAIL, "map.sh": _MAP_SH},
    "function": {"job.toml": _HEAD + _LINES + _FUNCTION + _TAIL, "lengths.py": _LENGTHS},
    "files": {"job.toml": _HEAD + _FILES + _TAIL, "map.py": _MAP_FILES},
}
TEMPLATES = tuple(_FOLDERS)


def create(folder: Path, template: str = "mapreduce") -> Path:
    """Make `folder` with a job that runs, and an example; returns the example's place. Raises JobFileError where
    something is there already."""
    example = folder / ("examples" if template == "files" else "example.txt")
    try:
        folder.mkdir(parents=True)
        for name, text in _FOLDERS[template].items():
            (folder / name).write_text(text.replace("{name}", folder.name), encoding="utf-8")
        if template == "files":
            example.mkdir()
            (example / "rain.txt").write_text(_ANOTHER, encoding="utf-8")
        (example / "barrow.txt" if template == "files" else example).write_text(_EXAMPLE, encoding="utf-8")
    except FileExistsError:
        raise JobFileError(f"{folder} exists already; choose another name") from None
    except OSError as error:
        raise JobFileError(f"{folder} cannot be made: {error.strerror}") from error
    return example
