"""What scientists see of clients: what these can do, and nothing of others' jobs, nor of where they are. Pure."""

import re
from collections.abc import Collection, Iterable

from msgspec.structs import replace

from dockercomp.protocol.messages import AppliedAllocation, ContainerReport
from dockercomp.protocol.views import ClientView, Progress

_JOB_ID = re.compile(r"\bj[0-9a-f]{10}\b")


def jobs_named(views: Iterable[ClientView]) -> set[str]:
    """The ids of all jobs that these name."""
    return {job for view in views for job in _named(view)}


def without_others(view: ClientView, own: Collection[str]) -> ClientView:
    """The client without its address, and with no job named but those of `own`."""
    return replace(
        view,
        address="",
        status=words_without_others(view.status, own),
        marked=words_without_others(view.marked, own),
        containers=[_container(each, own) for each in view.containers],
        problems=[words_without_others(each, own) for each in view.problems],
        allocation=replace(view.allocation, jobs=[words_without_others(each, own) for each in view.allocation.jobs]),
        applied=_applied(view.applied, own) if view.applied else None,
        progress=_progress(view.progress, own) if view.progress else None,
    )


def words_without_others(words: str, own: Collection[str]) -> str:
    """A sentence in which others' jobs are not named."""
    return _JOB_ID.sub(lambda found: found[0] if found[0] in own else "(another's)", words)


def _named(view: ClientView) -> Iterable[str]:
    yield from (each.job for each in view.containers if each.job)
    applied, progress = view.applied, view.progress
    told = (*(applied.parts if applied else ()), *(progress.parts if progress else ()))
    parts = [f"{part.why} {part.actual}" for part in told]
    notes = [applied.note] if applied else []
    yield from _JOB_ID.findall(
        " ".join([view.status, view.marked, *view.problems, *view.allocation.jobs, *parts, *notes])
    )


def _applied(found: AppliedAllocation, own: Collection[str]) -> AppliedAllocation:
    parts = [
        replace(part, actual=words_without_others(part.actual, own), why=words_without_others(part.why, own))
        for part in found.parts
    ]
    return replace(found, note=words_without_others(found.note, own), parts=parts)


def _progress(found: Progress, own: Collection[str]) -> Progress:
    parts = [
        replace(
            part,
            wanted=words_without_others(part.wanted, own),
            actual=words_without_others(part.actual, own),
            why=words_without_others(part.why, own),
        )
        for part in found.parts
    ]
    return replace(found, drifted=words_without_others(found.drifted, own), parts=parts)


def _container(found: ContainerReport, own: Collection[str]) -> ContainerReport:
    return found if found.job in own else replace(found, job="", chunk="", image="")
