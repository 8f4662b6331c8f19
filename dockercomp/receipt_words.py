"""What receipts state, in sentences. Pure, no I/O."""

from .protocol.receipts import ChunkRecord, JobReceipt

_SMALLEST_SHARE = 1e-12


def who(stated: JobReceipt) -> str:
    named = ", ".join(f"{each.client} ({each.owner})" for each in stated.contributors[:5])
    more = f" and {stated.clients - 5:,} more" if stated.clients > 5 else ""
    if not stated.clients:
        return "nobody anew: all results were taken from earlier jobs"
    return f"{count(stated.clients, 'client')} of {count(stated.owners, 'owner')}: {named}{more}"


_BASES = {
    "quorum": "on agreeing results of different clients",
    "single": "on one client's word, in a job that checks by chance",
    "unchecked": "on one client's word, unchecked",
    "trusted": "on the word of a client that the admin trusts",
    "people": "on people's answers",
    "reused": "on results of earlier jobs",
}


def how(stated: JobReceipt) -> str:
    checks = stated.verification
    rests = "; ".join(
        f"{checks.chunks[basis]:,} rest {words}" for basis, words in _BASES.items() if basis in checks.chunks
    )
    least = checks.least
    apart = f", at least {count(least.clients, 'client')} of {count(least.owners, 'owner')} each" if least else ""
    outvoted = f"; {count(checks.outvoted, 'result')} outvoted" if checks.outvoted else ""
    return f"of {count(stated.chunks, 'chunk')} {rests}{apart}, compared by {checks.rules['compare']}{outvoted}"


def estimated(stated: JobReceipt) -> str:
    """The estimated share of wrong chunks in words."""
    error = stated.verification.estimated_error
    if error is None:
        return "the master stated none"
    numbers = [value for key in ("share", "high", "confidence") if isinstance(value := error.get(key), int | float)]
    if len(numbers) < 3:
        return "stated in the receipt, in a form that this version cannot say in words"
    if error.get("basis") == "quorum":
        return "no chunk wrong, unless clients agreed on the same wrong answer: every result is that of a quorum"
    share, high, confidence = numbers
    if high >= 1:
        return "unknown: nothing was checked"
    return f"{_share(share)} of the chunks wrong, at most {_share(high)} with {100 * confidence:g} % confidence"


def _share(share: float) -> str:
    return "none" if share < _SMALLEST_SHARE else f"{100 * share:.2g} %"


def voters(record: ChunkRecord) -> str:
    if record.reused_from:
        return f"nobody anew: the result is that of chunk {record.reused_from}"
    votes = [vote for vote in record.votes if not vote.canary]
    return ", ".join(f"{vote.client} ({vote.owner}, {vote.verdict})" for vote in votes)


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
