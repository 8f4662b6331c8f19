"""A pipeline of threads: stages joined by bounded queues, so that no stage runs far ahead of a slower one."""

from collections.abc import Callable, Iterable, Iterator
from queue import Queue
from threading import Thread
from typing import Any

_END = object()
_ROOM = 8
"""Items that may wait before a stage."""


def run(items: Iterable[Any], *stages: tuple[Callable[[Any], Any], int]) -> Iterator[Any]:
    """What the last stage makes of each item, in the order of `items`. A stage is a function and its threads.

    Raises what a stage raised, in place of that item's result.
    """
    queues: list[Queue[Any]] = [Queue(_ROOM) for _ in range(len(stages) + 1)]

    def feed() -> None:
        for numbered in enumerate(items):
            queues[0].put((*numbered, None))
        queues[0].put(_END)

    def serve(function: Callable[[Any], Any], source: Queue[Any], target: Queue[Any]) -> None:
        while (taken := source.get()) is not _END:
            number, item, error = taken
            try:
                target.put((number, item if error else function(item), error))
            except Exception as raised:
                target.put((number, None, raised))
        source.put(_END)  # for the stage's other threads

    def supervise(function: Callable[[Any], Any], width: int, source: Queue[Any], target: Queue[Any]) -> None:
        threads = [Thread(target=serve, args=(function, source, target), daemon=True) for _ in range(width)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        target.put(_END)

    Thread(target=feed, daemon=True).start()
    for (function, width), source, target in zip(stages, queues[:-1], queues[1:], strict=True):
        Thread(target=supervise, args=(function, width, source, target), daemon=True).start()
    yield from _in_order(queues[-1])


def _in_order(queue: "Queue[Any]") -> Iterator[Any]:
    early: dict[int, Any] = {}
    following = 0
    while (taken := queue.get()) is not _END:
        number, item, error = taken
        if error:
            raise error
        early[number] = item
        while following in early:
            yield early.pop(following)
            following += 1
