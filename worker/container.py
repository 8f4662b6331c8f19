"""A warm container: one job's, fed chunk after chunk through its runner."""

import contextlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

from msgspec import structs

from dockercomp.machine.home import instance_label
from dockercomp.protocol.messages import Failure, FailureReason
from dockercomp.protocol.orders import JobOrder, ProgramSpec, outputs_of, stage_of

from . import invocation, steps
from .access import LOCKED, Access
from .capture import Output, digest_of
from .channel import Channel, ChannelError, End, Listener, socket_folder
from .checkpoints import Checkpoints
from .disk import Disk
from .engine import ContainerSpec, Engine, EngineError, EngineUnavailable
from .gathering import Gathering
from .live import Live
from .mounts import MOUNTED, SlotFolders, programs_of_ours
from .placement import SAVED, clear, place
from .reception import Reception, Told
from .runner import build as runner
from .sizing import Sizing
from .tasks import Outcome, Reading, Size, Task
from .width import width_of

State = Literal["starting", "idle", "running", "paused", "stopping", "dead"]

_START_S = 30.0
_GRACE_S = 15.0
"""How long the runner may be late with its own time limit, and say nothing, before the container is killed."""
_COLLECTING_S = 600.0
"""How long it may go on sending what a program left, beyond the time limit."""
_TICK_S = 1.0
_ASK_ENGINE_S = 10.0
"""Between two questions whether a silent container still is there. One that ends closes its socket, which is heard at
once; asking about eight of them each second was half of the daemon's CPU."""
_FREEZES = 3
"""How often freezing is tried."""
_LOOK_AT_ROOT_S = 3.0


class _OverTime(ChannelError):
    """The runner did not keep the chunk's time limit."""


class _OverFull(ChannelError):
    """The container wrote more into its root folder than the job may use of disk."""


class WarmContainer:
    """Made, started, fed by `run` from one thread, and stopped. Other methods may be called from other threads."""

    def __init__(
        self,
        engine: Engine,
        order: JobOrder,
        image_id: str,
        program_dir: Path | None,
        slot: int,
        size: Size,
        home: Path,
        access: Access = LOCKED,
    ) -> None:
        self.id = ""
        self.job = order.job
        self.name = f"dc-{instance_label(home)}-{order.job}-{slot}"
        self.address = "none"
        """Inside its network; `none` with the network off."""
        self.state: State = "starting"
        self.current_lease = ""
        self._engine = engine
        self._order = order
        self._image = image_id
        self._program = program_dir
        self._slot = slot
        self._sizing = Sizing(engine, size)
        self._home = home
        self._access = access
        self._look_at = 0.0
        self._spool = home / "worker" / "spool"
        self._folders = SlotFolders(home / "worker" / "slots" / str(slot))
        self._checkpoints = Checkpoints(home)
        self.disk: Disk | None = None
        """Of which room for results is claimed."""
        self._listener: Listener | None = None
        self._channel: Channel | None = None
        self._cancelled = False
        self._is_set_up = False
        self._oom_before = 0
        self._paused_s = 0.0
        self._paused_at: float | None = None
        self._lock = threading.Lock()

    # --- its life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Create and start it; returns once its runner has connected. Raises EngineError, leaving nothing behind."""
        try:
            self._folders.make(self.size)
            self._spool.mkdir(parents=True, exist_ok=True)
            self._listener = Listener(socket_folder(self._home, self._slot))
            self.id = self._engine.create(self._spec(self._listener.path.parent))
            self._engine.start(self.id)
            self._channel = self._wait_for_runner(self._listener)
            self._listener.close()  # before any program runs: nobody else shall be heard
            if self._access.network:
                self.address = self._engine.address(self.id, self._access.network.name)
            self._sizing.attach(self.id)
        except (ChannelError, OSError, runner.RunnerMissingError) as error:
            self.stop()
            raise EngineError(f"container {self.name} does not start: {error}") from error
        except BaseException:
            self.stop()
            raise
        self.state = "idle"

    def stop(self) -> None:
        """Remove it; harmless to repeat. Raises EngineError where the engine does not answer."""
        if self.state != "dead":
            self.state = "stopping"
        for end in (self._channel, self._listener):
            if end is not None:
                end.close()
        try:
            if self.id:
                self._engine.remove(self.id)
        finally:
            self.state = "dead"
            self._folders.remove()

    def resize(self, size: Size) -> None:
        """Give it other CPUs, pins, weight and memory while it runs, but the scratch that it has, which cannot change.
        Raises EngineError where the engine refuses; then nothing has changed."""
        self._sizing.resize(size)
        with contextlib.suppress(OSError):  # the limits hold whether or not the program can read of them
            self._folders.write_allocation(self.size)

    def pause(self) -> None:
        """Freeze it; paused time does not count for time limits. One that cannot be frozen, since its processes
        multiply too fast for the engine, is ended: the volunteer's word counts. Raises EngineError then."""
        self._freeze()
        self._sizing.time_is_spoilt()  # the chunk's time holds the pause too
        with self._lock:
            self._paused_at = self._paused_at or time.monotonic()  # somebody else may have let it go on meanwhile
            self.state = "paused"

    def _freeze(self) -> None:
        for _ in range(_FREEZES - 1):
            with contextlib.suppress(EngineError):
                return self._engine.pause(self.id)
        try:
            self._engine.pause(self.id)
        except EngineUnavailable:
            raise
        except EngineError:
            self._engine.kill(self.id)
            raise

    def unpause(self) -> None:
        self._engine.unpause(self.id)
        with self._lock:
            if self._paused_at is not None:
                self._paused_s += time.monotonic() - self._paused_at
                self._paused_at = None
        self.state = "running" if self.current_lease else "idle"

    def reading(self) -> Reading:
        """Limits and use, read from its cgroup now. Its `cpuset` is empty where it may use every CPU."""
        return self._sizing.reading()

    @property
    def size(self) -> Size:
        return self._sizing.size

    # --- running chunks --------------------------------------------------------------------------------------------

    def run(self, task: Task, live: Live | None = None) -> Outcome:
        """Run one chunk. Never raises for what the program or the container does: that is the Outcome.

        What `live` raises is passed on; the container is dead then. A checkpoint that an earlier run of the chunk left
        is given to it, and forgotten once the chunk has an outcome of its own.
        """
        live = live or Live(task.lease)
        self.current_lease, self._cancelled = task.lease, False
        self._sizing.chunk_begins()
        with self._lock:  # it may have been frozen since the chunk was taken
            self.state = "running" if self._paused_at is None else "paused"
        try:
            outcome = self._set_up(live) or steps.run_all(
                lambda program, given: self._step(program, given, live),
                stage_of(self._order, task.stage),
                task,
                self._spool,
                lambda: self._cancelled,
            )
        finally:
            self.current_lease = ""
            if self.state == "running":
                self.state = "idle"
            with contextlib.suppress(OSError):
                clear(self._folders.input)
        if outcome.failure is None or outcome.failure.reason not in ("engine", "refused"):
            self._checkpoints.drop(self.job, task.stage, task.index)
        return replace(outcome, width=self._sizing.width)

    def _set_up(self, live: Live) -> Outcome | None:
        """Run the job's setup where it has not been; what went wrong, if anything did."""
        if self._is_set_up or not self._order.setup:
            return None
        outcome = self._run(invocation.setup_of(self._order, width_of(self.size)).encode(), Told(live))
        if outcome.failure is None:
            self._is_set_up = True
            return None
        said = f"setup failed: {outcome.failure.message}"
        return replace(outcome, failure=structs.replace(outcome.failure, message=said))

    def _step(self, program: ProgramSpec, task: Task, live: Live) -> Outcome:
        """Run one program over the task's input."""
        told = Told(live, input=task.input, files=_files(program))
        try:
            clear(self._folders.input)
            if program is stage_of(self._order, task.stage).program:  # a combine program has no checkpoints
                told.checkpoints = lambda: self._checkpoints.saving(self.job, task.stage, task.index)
                saved = self._checkpoints.saved(self.job, task.stage, task.index)
                if saved is not None:
                    self._sizing.time_is_spoilt()  # it is the time of a part of the chunk only
                    place(saved, self._folders.input, SAVED)
            has_program, folder = self._program is not None, self._folders.input
            run = invocation.run_of(self._order, program, task, width_of(self.size), folder, has_program=has_program)
            encoded = run.encode()
        except OSError as error:
            return Outcome(failure=Failure(reason="input", message=f"the chunk's input cannot be given: {error}"))
        return self._run(encoded, told)

    def cancel(self) -> None:
        """Abort what runs now; its Outcome is a failure with reason `refused`. Raises EngineError."""
        self._cancelled = True
        if self.state == "paused" or self.reading().frozen:
            self._engine.kill(self.id)  # a frozen one would not hear of it before it goes on, which it shall not
        elif self._channel is not None:
            self._channel.kill()

    def _run(self, run: bytes, told: Told) -> Outcome:
        """After it the container is at the run's end, or dead: a run half read would mix with the next."""
        try:
            return self._fed(run, told)
        except _OverFull as error:
            return self._died(str(error), "disk")
        except _OverTime as error:
            return self._died(str(error), "time")
        except (ChannelError, EngineError, OSError) as error:
            return self._died(str(error))
        except BaseException as error:
            self._died(str(error))
            raise

    def _ran_out_of_memory(self) -> bool:
        """Whether that is why it ended, with its runner: the control group, which tells it better, has gone. The
        engine's word counts only where no earlier chunk was the reason for it."""
        with contextlib.suppress(EngineError):
            return not self._oom_before and self._engine.ended_for_memory(self.id)
        return False

    def _fed(self, run: bytes, told: Told) -> Outcome:
        assert self._channel is not None
        oom_before = self._oom_before = self._sizing.oom_kills()
        with Output(self._spool, self.disk) as output, Reception(self._channel, output, told) as reception:
            self._channel.run(run)
            if self._cancelled:  # before there was anything to kill
                self._channel.kill()
            end = self._follow(self._channel, reception, told.live)
            failure = reception.failure(
                end,
                cancelled=self._cancelled,
                out_of_memory=lambda: self._sizing.oom_kills() > oom_before,
                memory=self.size.memory_limit,
                time_limit=self._order.resources.time_limit,
            )
            if failure is not None:
                return Outcome(
                    failure=self._sizing.blamed(failure),
                    cpu_s=end.cpu_s,
                    wall_s=end.wall_s,
                    memory_peak=end.memory_peak,
                    refuse=reception.no_room,
                )
            cpus_limit, memory_limit = self._sizing.limits()
            return Outcome(
                digest=output.digest,
                size=output.size,
                payload=output.take(),
                input_digest=digest_of(told.input),
                cpu_s=end.cpu_s,
                wall_s=end.wall_s,
                memory_peak=end.memory_peak,
                cpus_limit=cpus_limit,
                memory_limit=memory_limit,
                log=reception.brief(),
            )

    def _follow(self, channel: Channel, reception: Reception, live: Live) -> End:
        begun, paused_before = time.monotonic(), self._paused()
        live.seconds = lambda: time.monotonic() - begun - (self._paused() - paused_before)
        limit = self._order.resources.time_limit
        last, asked = limit + _COLLECTING_S, begun
        while True:
            self._check_written()
            try:
                kind, payload = channel.receive(_TICK_S)
                if time.monotonic() - begun > last and live.seconds() > last:
                    raise _OverTime("what the program left takes too long to collect")
            except TimeoutError:
                if live.seconds() > limit + _GRACE_S:
                    raise _OverTime("the container did not end the program when its time was over") from None
                if self.state != "paused" and time.monotonic() - asked >= _ASK_ENGINE_S:
                    asked = time.monotonic()
                    if not self._engine.running(self.id):
                        raise ChannelError("the container has gone") from None
                continue
            end = reception.take(kind, payload)
            if end is not None:
                return end

    def _check_written(self) -> None:
        """A root folder that may be written to lies on the volunteer's disk: it is watched, as nothing bounds it."""
        if not self._access.writable_root or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK_AT_ROOT_S
        most, written = self._order.resources.disk, self._engine.written(self.id)
        if written > most:
            raise _OverFull(f"it wrote {written >> 20} MiB into its root folder, the job's disk is {most >> 20} MiB")

    def _paused(self) -> float:
        with self._lock:
            now = 0.0 if self._paused_at is None else time.monotonic() - self._paused_at
            return self._paused_s + now

    def _died(self, why: str, reason: FailureReason | None = None) -> Outcome:
        """The container cannot go on, whatever the reason; the next chunk needs another."""
        self.state = "dead"
        with contextlib.suppress(EngineError):
            self._engine.kill(self.id)
        message = why if reason else f"the container ended in the middle of the chunk: {why}"
        if reason is None and self._ran_out_of_memory():
            limit = self.size.memory_limit >> 20
            reason = "memory"
            message = f"needed more than its {limit} MiB of memory (scratch included), which ended the whole container"
        failure = Failure(reason="refused" if self._cancelled else reason or "engine", message=message)
        return Outcome(failure=self._sizing.blamed(failure), container_dead=True)

    # --- making it -------------------------------------------------------------------------------------------------

    def _spec(self, socket_folder: Path) -> ContainerSpec:
        binds = {
            socket_folder: f"{MOUNTED}/socket",
            **self._folders.binds(),
            **programs_of_ours(self._home, self._order.image.platform),
        }
        if self._program is not None:
            binds[self._program] = invocation.JOB_FOLDER
        return ContainerSpec(
            name=self.name,
            image=self._image,
            command=(f"{MOUNTED}/runner", f"{MOUNTED}/socket/s"),
            labels={"dockercomp.job": self.job, "dockercomp.slot": str(self._slot)},
            environment={},
            cpus=self.size.cpus,
            memory_limit=self.size.memory_limit,
            scratch=self.size.scratch,
            binds=binds,
            cpuset=self.size.cpuset,
            weight=self.size.weight,
            access=self._access,
        )

    def _wait_for_runner(self, listener: Listener) -> Channel:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            channel = listener.accept(_TICK_S)
            if channel is not None:
                return channel
            if not self._engine.running(self.id):
                raise ChannelError("it ended at once: does its image run on this machine's platform?")
        raise ChannelError(f"its runner did not connect within {_START_S:.0f} s")


def _files(program: ProgramSpec) -> Gathering | None:
    """What chooses the files of its result; None where its result is its standard output or its {output} file."""
    patterns = outputs_of(program)
    if not patterns:
        return None
    named = any("{output_dir}" in word for word in program.command or ())
    return Gathering(patterns, "{output_dir}" if named else "the working directory")
