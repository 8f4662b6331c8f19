"""How wrong a result may be, in words: the same on a page, on the command line and wherever else it is said."""

from .views import TrustView


def how_wrong(trust: TrustView) -> str:
    """The stated bound in one sentence, without a stop."""
    if trust.basis == "none":
        return "nothing was checked, so nothing is known of how many chunks are wrong"
    if trust.basis == "quorum":
        return "each chunk is what several clients agreed on: none is wrong unless clients shared a lie"
    share, most = trust.share * trust.accepted, trust.high * trust.accepted
    if most < 1:
        return "each chunk was checked: none is wrong unless clients shared a lie"
    are = "is" if _count(share) == "1" else "are"
    return (
        f"an estimated {_count(share)} of {trust.accepted:,} chunks {are} wrong, and at most {_count(most)}"
        f" ({_percent(trust.high)}) with {100 * trust.confidence:g} % confidence, whatever liars planned, as long as"
        " they did not share lies"
    )


def what_it_cost(trust: TrustView) -> str:
    """What checking took, without a stop."""
    said = f"{trust.copies_per_chunk:.3g} results a chunk"
    if trust.cpu_s and trust.cpu_s_checking is not None:
        said += f"; checking took {trust.cpu_s_checking:,.1f} s of {trust.cpu_s:,.1f} s of CPU"
    return said


def what_was_found(trust: TrustView) -> str:
    """Who was found wrong and what followed, without a stop; empty where nobody was."""
    if not trust.clients_wrong:
        return ""
    who = "a client was" if trust.clients_wrong == 1 else f"{trust.clients_wrong:,} clients were"
    return f"{who} found wrong; {trust.opened_again:,} chunks that rested on such a word alone were checked again"


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
