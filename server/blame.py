"""Who is to blame where chunks fail, the job or a machine: pure rules, no I/O.

A chunk is given up when it failed on as many clients as the job's `retries` say (lifecycle). That blames the job, not
the clients: the same program failed on the same input everywhere. One client that fails where others succeed blames
itself.
"""

from collections.abc import Sequence

FAILED_AT_FIRST = 3
"""Chunks given up before as many of their stage succeeded: a job so wrong is stopped at once."""
FAULTS = 3
"""Chunks that a client failed and others completed, before it gets no more of the job."""
NAMED = 20
"""Inputs of given-up chunks that are named."""


def stops_early(failed: int, accepted: int, open_: int) -> bool:
    """Whether a stage fails systematically, so that there is no use in trying its other chunks. `open_` chunks that
    were handed out may still succeed: bad inputs fail sooner than good ones are done."""
    return failed >= FAILED_AT_FIRST and accepted < failed and open_ <= failed


def machine_to_blame(faults: int, completed: int) -> bool:
    """Whether a client that failed `faults` chunks which others completed, and ran `completed` well, gets no more."""
    return faults >= FAULTS and faults > completed


def systematic(failed: int, accepted: int, last: str) -> str:
    """Why a job was stopped early. `last` is the error of the chunk that failed last."""
    none = "none" if accepted == 0 else f"only {accepted}"
    return (
        f"the job is to blame, not the machines: {failed} chunks failed on every client that tried them and {none}"
        f" succeeded, so the rest was not tried; {last}. Mend the program or its input and submit again"
    )


def incomplete(job: str, failed: int, chunks: int, inputs: Sequence[str], last: str) -> str:
    """Why a job that tried everything has no result, and the way out. `inputs` are those of some failed chunks."""
    named = "; ".join(inputs) + (" …" if failed > len(inputs) else "")
    return (
        f"{failed} of {chunks} chunks failed: {named}. {_sentence(last)} The other results are kept; mend the cause and"
        f" run only these again: dockercomp retry {job}"
    )


def faulty(job: str, faults: int) -> str:
    """Why a client gets no more chunks of a job, and the way out."""
    return (
        f"this machine is to blame: {faults} chunks of job {job} failed on it, and other machines completed them; see"
        " its log, mend it (dockercomp-worker doctor) and restart the worker to get chunks of this job again"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
