"""Liars among simulated volunteers, with checks that the test decides instead of chance."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from dockercomp.protocol.messages import Lease
from dockercomp.protocol.orders import InputSpec, JobSpec, ProgramSpec, ReduceSpec, VerifySpec
from dockercomp.protocol.views import SubmitRequest
from server import lifecycle, trust
from server.housekeeping import Housekeeping
from server.lifecycle import Chunk
from server.settings import Settings
from server.store import Store
from server.store.connection import Document
from tests.integration.simulated import Master, Program, Volunteer

ADAPTIVE = VerifySpec(policy="adaptive")


@dataclass
class Scene:
    """A master, its housekeeping, and the chunks whose single results are drawn for a check (stage, index)."""

    master: Master
    housekeeping: Housekeeping
    checked: set[tuple[int, int]] = field(default_factory=set)
    canaries: bool = False

    @classmethod
    def on(cls, store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Scene":
        scene = cls(Master(store), Housekeeping(store, settings))
        monkeypatch.setattr(trust, "drawn", scene._drawn)
        return scene

    def _drawn(self, _: bytes, lease: str, __: float) -> bool:
        if lease.startswith("canary"):
            return self.canaries
        _job, stage, index = lifecycle.chunk_of_lease(lease).split(".")
        return (int(stage), int(index)) in self.checked

    def submit(self, numbers: int, *, reduce: ReduceSpec | None = None, **fields: object) -> str:
        asked = {"verify": ADAPTIVE, "reuse": False, **fields}
        spec = JobSpec(
            name="numbers",
            image="i",
            input=InputSpec(split="range", start=0, stop=numbers, per_chunk=1),
            map=ProgramSpec(command=["true"]),
            reduce=reduce,
            **asked,  # type: ignore[arg-type]
        )
        return str(self.master.submission.submit("ada", SubmitRequest(spec=spec), "")["_id"])

    def volunteer(self, program: Program) -> Volunteer:
        return self.master.volunteer(program)

    def look(self, rounds: int = 1) -> None:
        """So many rounds of housekeeping."""
        for _ in range(rounds):
            self.housekeeping.round(self.master.store.duties.now())

    def job(self, job: str) -> Document:
        found = self.master.store.jobs.by_id(job)
        assert found is not None
        return found

    def chunk(self, job: str, index: int, stage: int = 0) -> Chunk:
        found = self.master.store.chunks.by_id(lifecycle.chunk_id(job, stage, index))
        assert found is not None
        return found

    def chunks(self, job: str, stage: int | None = 0) -> list[Chunk]:
        return self.master.store.chunks.page(job, stage, "", "", 5000)

    def client(self, volunteer: Volunteer) -> Document:
        found = self.master.store.clients.by_id(volunteer.id)
        assert found is not None
        return found

    def result(self, job: str) -> bytes:
        document = self.job(job)
        assert document["state"] == "completed", document.get("error", document["state"])
        whole = self.master.sync._inputs.results(document["result"]["manifest"])
        return bytes(whole.read_at(0, whole.size))

    def until(self, done: Callable[[], bool], *volunteers: Volunteer, turns: int = 40) -> None:
        """Let these work, and housekeeping look, until it is so."""
        for _ in range(turns):
            for each in volunteers:
                each.work(50)
            self.look()
            if done():
                return
        raise AssertionError("it does not come to that")

    def complete(self, job: str, *volunteers: Volunteer) -> bytes:
        """Work until the job is completed; its result."""
        self.until(lambda: self.job(job)["state"] != "running", *volunteers)
        return self.result(job)


def right(lease: Lease) -> bytes:
    return f"{lease.index}\n".encode()


def lying(*indexes: int, answer: bytes = b"-1\n") -> Program:
    """Lies in these chunks of the map, in others not."""
    return lambda lease: answer if lease.stage == 0 and lease.index in indexes else right(lease)


def truth(numbers: int) -> bytes:
    return b"".join(b"%d\n" % n for n in range(numbers))


class Died(Exception):
    """The process is gone."""


def dying(monkeypatch: pytest.MonkeyPatch, store: Store, writes: int) -> Callable[[], None]:
    """Let so many writes through and fail each one after them; returns what ends that."""
    left = [writes]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any, **named: Any) -> Any:
            if left[0] <= 0:
                raise Died
            left[0] -= 1
            return real(*arguments, **named)

        return write

    for owner, names in (
        (store.chunks, ("compare_and_set",)),
        (store.findings, ("note", "move", "opened")),
        (store.editions, ("review", "withdraw", "reviewed", "warn")),
        (store.closings, ("forget",)),
        (store.jobs, ("note",)),
        (store.clients, ("found_wrong", "cleared")),
    ):
        for name in names:
            monkeypatch.setattr(owner, name, counting(getattr(owner, name)))

    def revive() -> None:
        left[0] = 10**9

    return revive
