"""For a Python program inside a container: pools of processes that follow its allocation while they work.

    from dockercomp_pool import Pool

    pool = Pool()
    for result in pool.imap(function, items):       # in the order of the items, whatever the width
        ...
    results = pool.map(function, items, chunksize=100)

The worker replaces the allocation's file when the allocation changes; a pool looks at it at most every 50 ms, while
results are asked for. A process too many ends with its piece of work, missing ones are forked at once. Pieces depend on
the chunksize alone and results come in order, so the width changes nothing in them. Processes are forked when a call
begins, so functions may be of any kind, closures included, and find whatever the program has loaded; items and results
are pickled. Without a worker the machine's CPUs count, as far as this process may use them, or DC_WIDTH.

Several pools of one program that work at the same time divide the width by their weights, or by a rule of its own:

    load, compute = Pool(weight=1), Pool(weight=3)
    divide_by(lambda total, weights: [1 if weights[0] else 0, total - 1])     # 0: that pool has nothing to do

What a function raises comes back with its traceback, and WorkerDied where its process did. A pool used within a pool's
process has one process. Standard library only, any python3 from 3.6 on, on Linux; dockercomp_chunk must lie beside it.
"""

import atexit
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from multiprocessing.connection import wait as wait_for

import dockercomp_chunk

__all__ = ["Pool", "RemoteError", "WorkerDied", "divide_by", "shares"]

LOOK_S = 0.05
_AHEAD = 4
"""Pieces for each process that may be finished before an earlier one is."""
_fork = multiprocessing.get_context("fork")


class RemoteError(Exception):
    """What a function raised, as text: the cause of what is raised here, or in place of what cannot be pickled."""


class WorkerDied(Exception):
    """A process ended in the middle of its work: killed where memory ran out, say."""


class Pool:
    """Processes that compute on items. `weight`, above 0: how much of the width it gets beside other pools at work."""

    def __init__(self, weight=1.0):
        if not weight > 0:
            raise ValueError("a pool's weight must be above 0, not %r" % (weight,))
        self.weight = weight
        self._runs = []
        _pools.append(weakref.ref(self, _pools.remove))

    @property
    def width(self):
        """How many of its processes may work now; 0 while it has nothing to do."""
        with _lock:
            return _widths().get(self, 0)

    def map(self, function, items, chunksize=1):
        """The results of all items, a list in their order."""
        return list(self.imap(function, items, chunksize))

    def imap(self, function, items, chunksize=1):
        """Each item's result, in their order, as soon as it and all before it are there. `chunksize` items go to a
        process at a time, taken only a few pieces ahead from `items`, which may be endless. Raises what `function`
        raised, in place of that item's result, or WorkerDied. No process is left then, nor once the iterator is closed.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be at least 1, not %r" % (chunksize,))
        return _Run(self, function, iter(items), chunksize).results()


def divide_by(rule):
    """Divide the width by `rule` from now on: called with all of it and the pools' weights, in the order in which they
    were made, 0 for one that has nothing to do, it returns their widths; they count as at least 1. None: by weight."""
    with _lock:
        _rule[0] = rule


def shares(total, weights):
    """Whole widths nearest to the shares by weight, at least 1 for each that is not 0."""
    whole = sum(weights)
    wanted = [total * weight / whole if weight else 0 for weight in weights]
    widths = [max(1, int(share)) if weight else 0 for share, weight in zip(wanted, weights)]
    while sum(widths) != total:
        step = 1 if sum(widths) < total else -1
        able = [n for n, weight in enumerate(weights) if weight and widths[n] + step >= 1]
        if not able:
            break
        widths[max(able, key=lambda n: step * (wanted[n] - widths[n]))] += step
    return widths


# --- the program's pools ---------------------------------------------------------------------------------------------

_lock = threading.RLock()
_pools = []
"""Weakly: a warm process may make one with each call, and forget it."""
_rule = [None]
_seen = [float("-inf"), 1, False]
"""When the allocation was read last, its width, and whether it ever was a worker's."""


def _living():
    return [pool for pool in (ref() for ref in list(_pools)) if pool is not None]


def _total():
    now = time.monotonic()
    if now - _seen[0] >= LOOK_S:
        found = dockercomp_chunk.allocation()
        if found.change or not _seen[2]:  # one that cannot be read any more stays as it was
            _seen[1], _seen[2] = found.width, bool(found.change)
        _seen[0] = now
    return _seen[1]


def _widths():
    """Of each pool that is at work. With the lock held."""
    pools = _living()
    weights = [pool.weight if pool._runs else 0 for pool in pools]
    if not any(weights):
        return {}
    total = _total()
    widths = list((_rule[0] or shares)(total, weights))
    if len(widths) != len(weights):
        raise ValueError("the rule gave %d widths for %d pools" % (len(widths), len(weights)))
    return {pool: max(1, int(width)) for pool, width in zip(pools, widths) if pool._runs}


def _end_all():
    """At the program's end, where an iterator was neither used up nor closed."""
    for process in [process for pool in _living() for run in pool._runs for process in run.processes]:
        process.end(force=True)


atexit.register(_end_all)  # before multiprocessing would wait for them


# --- one call --------------------------------------------------------------------------------------------------------


class _Process:
    """A forked one, with our end of the way to it, and the number of the piece that it works on."""

    def __init__(self, function, others):
        self.way, theirs = _fork.Pipe()
        self.number, self.parent = None, os.getpid()
        self.process = _fork.Process(target=_serve, args=(function, theirs, [self.way, *others]))
        try:
            self.process.start()
        except BaseException:
            self.way.close()
            raise
        finally:
            theirs.close()

    def end(self, force=False):
        """Returns its exit code."""
        if os.getpid() != self.parent:  # a child of the program's own, which leaves others' processes alone
            return None
        try:
            self.way.send_bytes(b"")
        except OSError:  # it has gone already
            pass
        if force:
            getattr(self.process, "kill", self.process.terminate)()
        self.process.join()
        self.way.close()
        return self.process.exitcode


class _Run:
    """One call of imap: gives out pieces, takes in results, keeps as many processes as the pool has width."""

    def __init__(self, pool, function, items, chunksize):
        self.pool, self.function = pool, function
        self.pieces = enumerate(iter(lambda: list(itertools.islice(items, chunksize)), []))
        self.waiting = None
        """The next piece, where it was taken but no process was there for it."""
        self.processes = []
        self.full_until = float("-inf")
        """When to try again after the container allowed no more processes."""
        self.done = {}
        self.next = 0
        """The number of the piece whose results come next."""

    def results(self):
        with _lock:
            self.pool._runs.append(self)
        finished = False
        try:
            while self._step():
                while self.next in self.done:
                    piece, error = self.done.pop(self.next)
                    self.next += 1
                    yield from piece
                    if error is not None:
                        raise error
            finished = True
        finally:
            with _lock:
                self.pool._runs.remove(self)
            for process in self.processes:
                process.end(force=not finished)

    def _step(self):
        """Wait for something to happen; false when nothing is left to do."""
        width = self._width()
        for process in [each for each in self.processes if each.number is None][: max(0, len(self.processes) - width)]:
            self.processes.remove(process)
            process.end()
        self._give(width)
        busy = [process for process in self.processes if process.number is not None]
        if busy:
            ready = wait_for([process.way for process in busy], LOOK_S)
            ready = ready or [process.way for process in busy if not process.process.is_alive()]
            for process in busy:
                if process.way in ready:
                    self._take(process)
        return bool(busy or self.done)

    def _width(self):
        """This call's part of its pool's width."""
        with _lock:
            runs = self.pool._runs
            width = _widths()[self.pool]
            place = runs.index(self)
            return max(1, width // len(runs) + (place < width % len(runs)))

    def _give(self, width):
        """A piece for each process that has none, and for new ones up to the width."""
        idle = [process for process in self.processes if process.number is None]
        working = len(self.processes) - len(idle)
        while working < width and self._is_near():
            piece, self.waiting = self.waiting or next(self.pieces, None), None
            if piece is None:
                return
            process = idle.pop() if idle else self._fork()
            if process is None:  # the container allows no more: one of those that there are will take it
                self.waiting = piece
                return
            process.number = piece[0]
            working += 1
            try:
                process.way.send_bytes(pickle.dumps(piece[1], pickle.HIGHEST_PROTOCOL))
            except OSError:  # it died; taking its answer tells why
                pass

    def _is_near(self):
        """Whether one more piece may be begun: not where the first one that is missing keeps many others waiting."""
        return len(self.done) < _AHEAD * max(1, len(self.processes))

    def _fork(self):
        """One more process; None where there can be no more, but are some."""
        if self.processes and time.monotonic() < self.full_until:
            return None
        with _lock:
            others = [process.way for pool in _living() for run in pool._runs for process in list(run.processes)]
            try:
                process = _Process(self.function, others)
            except OSError:
                if not self.processes:
                    raise
                self.full_until = time.monotonic() + 1
                return None
            self.processes.append(process)
        return process

    def _take(self, process):
        number, process.number = process.number, None
        try:
            if not process.way.poll():  # dead, but what it forked holds its end open
                raise EOFError
            answer = process.way.recv_bytes()
        except (EOFError, OSError):
            self.processes.remove(process)
            raise WorkerDied(_death(process.end(), number)) from None
        good, results, error = pickle.loads(answer)
        if not good:
            error, text = error
            remote = RemoteError("\n" + text)
            error = pickle.loads(error) if error else remote
            error.__cause__ = None if error is remote else remote
        self.done[number] = results, error


def _death(code, number):
    how = "was ended by signal %d" % -code if code < 0 else "ended with exit code %d" % code
    hint = "; memory may have run out" if code == -signal.SIGKILL else ""
    return "a process %s in the middle of piece %d%s" % (how, number, hint)


# --- in the forked process -------------------------------------------------------------------------------------------


def _serve(function, way, others):
    """Works on pieces until it is told to end, or the program has gone."""
    _lock.release()  # taken by this very thread before the fork
    for pool in _living():
        pool._runs = []
    divide_by(lambda total, weights: [1] * len(weights))
    for other in others:  # else its program's end would not be noticed by a sibling
        other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program's to handle, which then ends this one
    try:
        for asked in iter(way.recv_bytes, b""):
            way.send_bytes(_worked(function, pickle.loads(asked)))
    except (EOFError, OSError):
        pass


def _worked(function, items):
    results = []
    try:
        for item in items:
            results.append(function(item))
        return pickle.dumps((True, results, None), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:  # SystemExit included: a program does not end by what one item does
        return pickle.dumps((False, *_with_error(results, error)), pickle.HIGHEST_PROTOCOL)


def _with_error(results, error):
    """The results before it, if they can be sent, and the error with its traceback."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    pickled = None
    if isinstance(error, Exception) and not isinstance(error, StopIteration):  # which would end the iterator
        try:
            pickled = pickle.dumps(error)
            pickle.loads(pickled)
        except Exception:
            pickled = None
    try:
        pickle.dumps(results)
    except Exception:
        results = []
    return results, (pickled, text)
