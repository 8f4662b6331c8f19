"""Runs one peer in its own environment: `python -m bench.peers.serve NAME`, ready when it says so, a call a line.

Speaks JSON lines over the standard input and output that it was started with; what the peer prints goes to stderr.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import TextIO

from bench.peers import MODULES, Missing, Peer


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    try:
        with importlib.import_module(f"bench.peers.{MODULES[sys.argv[1]]}").System() as peer:
            _say(answers, ready=True)
            for line in sys.stdin:
                _say(answers, value=_call(peer, json.loads(line)))
    except (Missing, ImportError) as error:
        _say(answers, missing=str(error))


def _call(peer: Peer, call: dict[str, str]) -> float:
    if call["bench"] == "dispatch":
        return peer.dispatch(float(call["seconds"]))
    return peer.job(Path(call["text"]), int(call["chunk"]), Path(call["output"]))


def _say(answers: TextIO, **words: object) -> None:
    answers.write(json.dumps(words) + "\n")


if __name__ == "__main__":
    main()
