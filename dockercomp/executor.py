"""An executor shaped like concurrent.futures.ProcessPoolExecutor whose processes are containers on lent machines.

    with Executor() as pool:
        for square in pool.map(pow, range(1000), repeat(2)):
            ...

Calls that are submitted shortly after one another become one job, each `map` is a job of its own.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, Unpack

from .calloptions import CallOptions, spec_of
from .calls import Calls
from .dispatch import Running, Waiting
from .gathering import Gathered
from .outcomes import Outcome
from .pickling import NotTravelling
from .protocol.errors import InvalidJob

if TYPE_CHECKING:
    from .client import Client

P = ParamSpec("P")
T = TypeVar("T")

FEWEST_CHUNKS = 256
CHUNKS_A_CONTAINER = 8
"""Calls are dealt into one chunk each, or so many chunks that each container gets several."""


class Executor(futures.Executor):
    """Runs calls on a master's clients. May be used by several threads.

    `max_workers` and `mp_context` are taken for the sake of programs written for a local pool, and mean nothing here.
    `initializer` is called once in each container, with `initargs`. Without `client` one is made, as Client() does.
    `chunk_size` is how many calls are computed, verified and repeated together; chosen where it is left out.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: object = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        client: "Client | None" = None,
        chunk_size: int | None = None,
        **options: Unpack[CallOptions],
    ) -> None:
        """Raises InvalidJob for impossible options, NotTravelling, and what Client() raises."""
        self._client = client or _client()
        self._own = client is None
        self._options, self._chunk_size = options, chunk_size
        self._initializer, self._initargs = initializer, initargs
        self._changed = threading.Condition()
        self._gathered: Gathered | None = None
        self._running: list[Running] = []
        self._thread: threading.Thread | None = None
        self._shut = self._cancelled = self._abandoned = False
        spec_of(options, "", "checked:now")
        _check_size(chunk_size)
        with self._calls():
            pass

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """A future that resolves when the call's chunk is accepted.

        It raises RemoteError for an error of the function, NotTravelling, JobFailed, Unavailable. It can be cancelled
        until its chunk was handed out to a client.
        """
        future: Future[T] = Future()
        with self._changed:
            self._check_open()
            gathered = self._gathered or Gathered(self._calls())
            try:
                gathered.add(future, fn, args, kwargs)
            except NotTravelling as error:
                future.set_exception(error)
                return future
            if gathered is not self._gathered:
                self._gathered = gathered
                self._wake()
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """The results in the order of the arguments, each as soon as it and those before it are accepted.

        Submits everything at once; `buffersize` means nothing here. Raises what submitting does, and, where its turn
        comes, what the future of that call would; TimeoutError where a result is not there `timeout` seconds from now.
        """
        _check_size(chunksize)
        until = None if timeout is None else time.monotonic() + timeout
        with self._calls() as calls:
            for args in zip(*iterables, strict=False):
                calls.add(fn, args, {})
            return self._in_order(*self._begin(calls, chunksize), until) if len(calls) else iter(())

    def _begin(self, calls: Calls, chunk_size: int | None) -> tuple[Running, list[Future[list[Outcome]]]]:
        """Submit them as one job; returns it and a future for each of its chunks."""
        with self._changed:
            self._check_open()
        size = chunk_size or self._size(len(calls))
        counts = [min(size, len(calls) - first) for first in range(0, len(calls), size)]
        waited: list[Future[list[Outcome]]] = [Future() for _ in counts]
        waiting = [Waiting([each], together=count) for each, count in zip(waited, counts, strict=True)]
        running = Running(self._client.master, calls.submit(self._client.master, size), waiting)
        with self._changed:
            self._running.append(running)
            self._wake()
        return running, waited

    def _in_order(self, running: Running, waited: list[Future[list[Outcome]]], until: float | None) -> Iterator[Any]:
        """The values, as they come. A reader who leaves before the end leaves the job, which is stopped."""
        waited.reverse()
        try:
            while waited:
                left = None if until is None else max(0.0, until - time.monotonic())
                for outcome in waited[-1].result(left):
                    if outcome.error is not None:
                        raise outcome.error
                    yield outcome.value
                waited.pop()
        finally:
            if waited:
                with self._changed:
                    running.unwanted = True
                    self._changed.notify_all()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; `wait` for those there are. `cancel_futures` cancels those not handed out yet."""
        with self._changed:
            self._shut = True
            if cancel_futures:
                self._cancelled = True
                for each in self._running:
                    each.cancel()
                if self._gathered is not None:
                    self._gathered.cancel()
            self._changed.notify_all()
            thread = self._thread
        if wait and thread is not None:
            thread.join()
        if self._own and (wait or thread is None):
            self._client.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> bool | None:
        """As any executor's; but an interrupted program also stops its jobs, so that nobody computes in vain."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            with self._changed:
                self._abandoned = True
        self.shutdown(wait=True)
        return None

    # --- inside ----------------------------------------------------------------------------------------------------

    def _calls(self) -> Calls:
        return Calls(self._options, self._initializer, self._initargs)

    def _check_open(self) -> None:
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")

    def _size(self, calls: int) -> int:
        if self._chunk_size:
            return self._chunk_size
        if calls <= FEWEST_CHUNKS:
            return 1
        containers = sum(each.allocation.containers for each in self._client.clients() if each.state == "alive")
        return -(-calls // max(FEWEST_CHUNKS, CHUNKS_A_CONTAINER * containers))

    def _wake(self) -> None:
        """With the lock held. The thread lives while there is something to wait for, and keeps the program alive."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="dockercomp-executor")
            self._thread.start()
        self._changed.notify_all()

    def _serve(self) -> None:
        while True:
            with self._changed:
                if self._gathered is None and not self._running:
                    self._thread = None
                    return
                pause = self._next() - time.monotonic()
                if pause > 0:
                    self._changed.wait(pause)
                ready = self._take_gathered()
                looked = list(self._running)
            if ready is not None:
                self._start(ready)
            for running in looked:
                self._look(running)

    def _next(self) -> float:
        if self._abandoned or any(running.unwanted for running in self._running):
            return 0.0
        due = [running.due for running in self._running]
        return min([*due, *([self._gathered.due] if self._gathered else [])])

    def _take_gathered(self) -> Gathered | None:
        gathered = self._gathered
        if gathered is None or not (gathered.ready or self._shut):
            return None
        self._gathered = None
        return gathered

    def _start(self, gathered: Gathered) -> None:
        waited = gathered.futures
        try:
            if self._abandoned:
                raise futures.CancelledError
            size = self._size(len(waited))
            job = gathered.calls.submit(self._client.master, size)
        except BaseException as error:
            Waiting(waited).fail(error)
            return
        waiting = [Waiting(waited[first : first + size]) for first in range(0, len(waited), size)]
        with self._changed:
            self._running.append(running := Running(self._client.master, job, waiting))
            if self._cancelled:  # while it was being submitted
                running.cancel()

    def _look(self, running: Running) -> None:
        if self._abandoned or running.unwanted:
            running.abandon()
        elif running.due > time.monotonic() or not running.look():
            return
        with self._changed:
            self._running.remove(running)


def _check_size(chunk_size: int | None) -> None:
    if chunk_size is not None and chunk_size < 1:
        raise InvalidJob(f"a chunk has at least one call, not {chunk_size}")


def _client() -> "Client":
    from .client import Client  # noqa: PLC0415  (which imports this)

    return Client()
