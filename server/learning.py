"""Duty: what runs tell of how jobs speed up with width is counted, and told to workers whenever it has grown by much.

A run counts where its worker says what width it had from begin to end. The stage of a job and the kind of machine are
kept apart; a job begins with what earlier jobs of the same person and recipe have shown of their map.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from math import floor, log

from dockercomp.protocol.messages import JobPoints, Point, ResultReport
from dockercomp.protocol.speedup import added, run_of
from dockercomp.protocol.speedup_view import view_of
from dockercomp.protocol.views import SpeedupView
from server.running import RunningJob, stages_of
from server.store import Store
from server.store.connection import Document
from server.store.curves import GRID, Curve, curve_id
from server.tallies import Change

GROWN = 1.5
"""What is known of a width is told again each time that its runs have become so many times as many."""
MOST_KINDS = 64
"""Kinds of machine that are told apart in one job; runs on further ones are not counted."""
MOST_EARLIER = 8
"""Earlier jobs of the same recipe, the newest, whose runs count too."""
_WIDTHS_AT_ONCE = 8
"""Of a stage in one sync."""
_GRACE = 2.0
"""Of a job's time limit: each program of a stage has it by itself."""
_MOST_SESSIONS = 20_000
_LONGEST_KIND = 200


def kind_of(client: Document) -> str:
    """The kind of a client's machine, in words: its CPUs and its processor."""
    machine = client.get("machine") or {}
    processor = str(machine.get("cpu_kind") or "")[:_LONGEST_KIND] or "unknown processor"
    cpus = _cpus(client)
    return f"{cpus} CPU{'s' if cpus != 1 else ''}, {processor}"


def key_of(kind: str) -> str:
    """The kind as it stands in ids and in the path of a field."""
    return hashlib.sha256(kind.encode(errors="replace")).hexdigest()[:12]


def runs_of(
    changes: Sequence[Change], reports: Iterable[ResultReport], cpus: int
) -> dict[tuple[str, int], list[Point]]:
    """By job and stage what the runs tell whose results these stored changes brought; `cpus` are their machine's. Each
    run counts with the change that took its result in, and with no other."""
    told = {report.lease: report for report in reports if _tells(report, cpus)}
    found: dict[tuple[str, int], list[Point]] = {}
    for before, after in changes if told else ():
        earlier = {replica.lease: replica.state for replica in before.replicas}
        for replica in after.replicas:
            report = told.get(replica.lease)
            if report and replica.state == "returned" and earlier.get(replica.lease) != "returned":
                width = round(report.width * GRID) / GRID
                found.setdefault((after.job, after.stage), []).append(run_of(width, report.wall_s, report.cpu_s))
    return {place: _most_seen(added(points)) for place, points in found.items()}


def version_of(points: Iterable[Point]) -> int:
    """Grows with each new width, and whenever a width has GROWN times the runs that it had."""
    return sum(1 + floor(log(point.runs, GROWN) + 1e-9) for point in points)


class Learning:
    """Keeps in memory what it told which session last; what is forgotten, or told by another master, is told again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told: OrderedDict[tuple[str, str], dict[str, int]] = OrderedDict()
        self._lock = threading.Lock()

    def take(
        self,
        client: Document,
        jobs: Mapping[str, RunningJob],
        changes: Sequence[Change],
        reports: Sequence[ResultReport],
    ) -> None:
        """Count the runs of a sync's stored changes: one write, and none where they tell nothing."""
        if client.get("marked"):
            return
        kind = kind_of(client)
        key = key_of(kind)
        self._store.curves.add(
            [
                Curve(id=curve_id(job, stage, key), job=job, stage=stage, key=key, kind=kind, points=points)
                for (job, stage), points in runs_of(changes, reports, _cpus(client)).items()
                if job in jobs and _has_room(jobs[job].document, key) and _credible(jobs[job], points)
            ]
        )

    def tell(self, client: Document, asked: Iterable[str], jobs: Mapping[str, RunningJob]) -> list[JobPoints]:
        """What is known of those of the jobs `asked` that is new to this session of the client; one look at the store,
        and none where nothing is new."""
        key = key_of(kind_of(client))
        present = {job: _version(jobs[job].document, key) for job in asked if job in jobs}
        before = self._exchange((client["_id"], str(client.get("session"))), present, again=bool(client.get("repeat")))
        new = [jobs[job] for job, version in present.items() if version != before.get(job, 0) or job not in before]
        new = [job for job in new if present[job.id] or job.document.get("learned_from")]
        if not new:
            return []
        found = {each.id: each.points for each in self._store.curves.by_ids([i for job in new for i in _ids(job, key)])}
        return [
            JobPoints(job=job.id, stage=stage, points=points)
            for job in new
            for stage in range(len(job.stages))
            if (points := added(p for i in _ids_of_stage(job.document, stage, key) for p in found.get(i, [])))
        ]

    def note(self) -> int:
        """Note in jobs how much is known of them, for `tell`; returns of how many curves. Safe to repeat."""
        changed = self._store.curves.changed()
        fields: dict[str, Document] = {}
        for each in changed:
            fields.setdefault(each.job, {})[f"curves.{each.key}.{each.stage}"] = version_of(each.points)
        self._store.jobs.note_many(fields)
        self._store.curves.noted(changed)
        return len(changed)

    def _exchange(self, session: tuple[str, str], present: dict[str, int], *, again: bool) -> dict[str, int]:
        """Remember what a session is told now; returns what it was told before, which is nothing for an answer that
        was lost."""
        with self._lock:
            before = self._told.pop(session, {})
            self._told[session] = present
            if len(self._told) > _MOST_SESSIONS:
                self._told.popitem(last=False)
        return {} if again else before


def speedups_of(store: Store, job: Document) -> list[SpeedupView]:
    """All that is known of how a job speeds up: its stages in order, of each first the kind with the most runs."""
    earlier = job.get("learned_from", [])
    own: dict[tuple[int, str], list[Point]] = {}
    others: dict[tuple[int, str], list[Point]] = {}
    kinds: dict[str, str] = {}
    # Asked for apart, so that the job's own are all there, however many the earlier ones have.
    for each in (*store.curves.of_jobs([job["_id"]]), *(store.curves.of_jobs(earlier) if earlier else ())):
        if each.job == job["_id"] or each.stage == 0:
            (own if each.job == job["_id"] else others).setdefault((each.stage, each.key), []).extend(each.points)
            kinds[each.key] = each.kind
    names = [stage["name"] for stage in stages_of(job)]
    views = []
    for place in {**own, **others}:
        stage, key = place
        if stage < len(names):
            before = others.get(place, [])
            runs = sum(point.runs for point in before)
            points = [*own.get(place, []), *before]
            views.append((stage, view_of(job["_id"], names[stage], kinds[key], points, earlier_runs=runs)))
    return [view for _, view in sorted(views, key=lambda each: (each[0], -each[1].runs, each[1].kind))]


def _cpus(client: Document) -> int:
    cpus = (client.get("machine") or {}).get("cpus")
    return cpus if isinstance(cpus, int) and not isinstance(cpus, bool) and cpus > 0 else 0


def _tells(report: ResultReport, cpus: int) -> bool:
    """Whether its time tells of a width that its machine has."""
    least = 0.5 / GRID
    return report.outcome == "done" and report.wall_s > 0 and least < report.width <= cpus + least


def _most_seen(points: list[Point]) -> list[Point]:
    return sorted(points, key=lambda point: -point.runs)[:_WIDTHS_AT_ONCE]


def _credible(job: RunningJob, points: Iterable[Point]) -> bool:
    """No run takes longer than its job's time limit, so one that did, by its client's word, does not spoil a mean."""
    longest = _GRACE * job.spec.resources.time_limit
    return all(point.wall_s <= longest * point.runs for point in points)


def _has_room(job: Document, key: str) -> bool:
    known = job.get("curves", {})
    return key in known or len(known) < MOST_KINDS


def _version(job: Document, key: str) -> int:
    return sum(int(version) for version in job.get("curves", {}).get(key, {}).values())


def _ids(job: RunningJob, key: str) -> list[str]:
    return [each for stage in range(len(job.stages)) for each in _ids_of_stage(job.document, stage, key)]


def _ids_of_stage(job: Document, stage: int, key: str) -> list[str]:
    """Of the job's own curve and, of its map, those of earlier jobs: their recipe says nothing of later stages."""
    earlier = job.get("learned_from", []) if stage == 0 else []
    return [curve_id(each, stage, key) for each in (job["_id"], *earlier)]
