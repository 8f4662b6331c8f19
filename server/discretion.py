"""What scientists see of clients: what these can do, and nothing of others' jobs, nor of where they are. Pure."""

import re
from collections.abc import Collection, Iterable

from msgspec.structs import replace

from dockercomp.protocol.messages import ContainerReport
from dockercomp.protocol.views import ClientView

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
    )


def words_without_others(words: str, own: Collection[str]) -> str:
    """A sentence in which others' jobs are not named."""
    return _JOB_ID.sub(lambda found: found[0] if found[0] in own else "(another's)", words)


def _named(view: ClientView) -> Iterable[str]:
    yield from (each.job for each in view.containers if each.job)
    yield from _JOB_ID.findall(f"{view.status} {view.marked}")


def _container(found: ContainerReport, own: Collection[str]) -> ContainerReport:
    return found if found.job in own else replace(found, job="", chunk="", image="")
