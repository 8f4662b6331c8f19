"""The volunteer's own page on 127.0.0.1, while `dockercomp-worker page` runs: the commands' same answers and edits."""
