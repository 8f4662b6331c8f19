"""The job folder that `dockercomp init` makes: a word count that runs as it is, to be changed into one's own."""

from pathlib import Path

from .jobfile import JobFileError

_JOB = """\
name = "{name}"
image = "dockercomp/python"            # any image that the master has: dockercomp image ls, dockercomp image push NAME

[input]
split = "lines"                        # lines | bytes | records | files | range
chunk_size = "1 MiB"                   # whole lines, about so many bytes a chunk

[map]
command = ["python3", "map.py"]        # a chunk on standard input, its result on standard output

[reduce]                               # optional; without it the results are joined in the order of the chunks
command = ["python3", "reduce.py"]     # all results of map on standard input

[verify]
policy = "quorum"                      # each result counts once `quorum` different clients agree on it
quorum = 2

[resources]
cpus = 1
memory = "256 MiB"
time_limit = "10 min"                  # for one chunk
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

_EXAMPLE = "so much depends upon\na red wheel barrow\nglazed with rain water\nbeside the white chickens\n"


def create(folder: Path) -> None:
    """Make `folder` with a job that runs. Raises JobFileError where something is there already."""
    files = {"job.toml": _JOB.replace("{name}", folder.name), "map.py": _MAP, "reduce.py": _REDUCE}
    try:
        folder.mkdir(parents=True)
        for name, text in {**files, "example.txt": _EXAMPLE}.items():
            (folder / name).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise JobFileError(f"{folder} exists already; choose another name") from None
    except OSError as error:
        raise JobFileError(f"{folder} cannot be made: {error.strerror}") from error
