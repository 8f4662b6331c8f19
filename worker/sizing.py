"""What one container has: its size, set by the engine and read back from its control group, and what becomes of it
while a chunk runs."""

from dataclasses import replace

from msgspec import structs

from dockercomp.protocol.messages import Failure

from . import cpu_list
from .cgroup import CgroupFiles, cgroup_paths
from .engine import Engine
from .tasks import Reading, Size


class Sizing:
    """`resize` may be called by one thread while another runs a chunk."""

    def __init__(self, engine: Engine, size: Size) -> None:
        self.size = size
        self._engine, self._container = engine, ""
        self._cgroup: CgroupFiles | None = None
        self._every_cpu = ""
        """All CPUs that it can be given, as Linux lists them."""
        self._width_kept, self._memory_lowered = True, False

    def attach(self, container: str) -> None:
        """The container runs now. Raises EngineError."""
        self._container, self._cgroup = container, cgroup_paths(self._engine.pid(container))
        # An engine may have fewer than the machine: what an unpinned one has, or the group around it, is all.
        around = self._cgroup
        if self.size.cpuset and around.cpuset:
            around = replace(around, cpuset=around.cpuset.parent)
        self._every_cpu = around.read().cpuset or cpu_list.written(cpu_list.online())

    def resize(self, size: Size) -> None:
        """Give it other limits, but the scratch that it has, which cannot change; the same ones are set again. Raises
        EngineError where the engine refuses; then nothing has changed."""
        before, size = self.size, replace(size, scratch=self.size.scratch)
        if size == before or replace(size, width=before.width, timed_as=before.timed_as) != before:
            self._set(size)
        self.size = size
        self._width_kept = self._width_kept and before.timed_as == size.timed_as
        self._memory_lowered = self._memory_lowered or size.memory < before.memory

    def _set(self, size: Size) -> None:
        cpuset = size.cpuset
        if not cpuset and self._cgroup is not None:
            now = self._cgroup.read().cpuset or self.size.cpuset  # where it cannot be read: as it was set
            cpuset = "" if now == self._every_cpu or not now else self._every_cpu  # no engine knows how to unpin
        self._engine.update(self._container, size.cpus, size.memory_limit, cpuset, size.weight)

    # --- read back ---

    def reading(self) -> Reading:
        """Limits and use now. `cpuset` is empty where it may use every CPU."""
        if self._cgroup is None:
            return Reading()
        found = self._cgroup.read()
        free = found.cpuset == self._every_cpu and self.size.cpuset != self._every_cpu
        return replace(found, cpuset="") if free else found

    def limits(self) -> tuple[float, int]:
        """CPUs and memory as the cgroup limits them now; 0 where that cannot be read."""
        return self._cgroup.limits() if self._cgroup is not None else (0.0, 0)

    def oom_kills(self) -> int:
        """How many of its processes were killed for want of memory so far; 0 also where that cannot be read."""
        return (self._cgroup.oom_kills() if self._cgroup is not None else None) or 0

    # --- while a chunk runs ---

    def chunk_begins(self) -> None:
        self._width_kept, self._memory_lowered = True, False

    def time_is_spoilt(self) -> None:
        """The chunk's time is not that of the whole chunk at this width."""
        self._width_kept = False

    @property
    def width(self) -> float:
        """What the chunk's time tells of (Outcome.width)."""
        return self.size.timed_as if self._width_kept else 0.0

    def blamed(self, failure: Failure) -> Failure:
        """The chunk's failure, but nobody's fault where it was given less memory while it ran."""
        if failure.reason != "memory" or not self._memory_lowered:
            return failure
        said = f"its memory was lowered while it ran: it {failure.message}"
        return structs.replace(failure, reason="refused", message=said)
