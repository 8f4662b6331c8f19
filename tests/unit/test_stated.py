"""How wrong a result may be, in words."""

from dockercomp.protocol.stated import how_wrong, what_it_cost, what_was_found
from dockercomp.protocol.views import TrustView


def adaptive(**fields: object) -> TrustView:
    return TrustView(**{"basis": "adaptive", "accepted": 10_000, "share": 0.0001, "high": 0.0182, **fields})  # type: ignore[arg-type]


def test_the_bound_is_one_sentence() -> None:
    assert how_wrong(adaptive()) == (
        "an estimated 1 of 10,000 chunks is wrong, and at most 182 (1.8 %) with 95 % confidence, whatever liars"
        " planned, as long as they did not share lies"
    )
    assert "an estimated 0 of 50 chunks are wrong, and at most 50 (100 %)" in how_wrong(
        adaptive(accepted=50, share=0.0, high=1.0)
    )


def test_what_no_check_can_say_is_not_said() -> None:
    assert "nothing is known" in how_wrong(adaptive(basis="none"))
    assert "unless clients shared a lie" in how_wrong(adaptive(basis="quorum", high=0.0))
    assert "each chunk was checked" in how_wrong(adaptive(high=0.0))


def test_what_it_cost_and_what_was_found() -> None:
    assert what_it_cost(adaptive(copies_per_chunk=1.0421)) == "1.04 results a chunk"
    spent = what_it_cost(adaptive(copies_per_chunk=2, cpu_s=2000.0, cpu_s_checking=1000.0))
    assert spent == "2 results a chunk; checking took 1,000.0 s of 2,000.0 s of CPU"
    assert what_was_found(adaptive()) == ""
    assert what_was_found(adaptive(clients_wrong=1, opened_again=120)).startswith(
        "a client was found wrong; 120 chunks"
    )
    assert what_was_found(adaptive(clients_wrong=2, opened_again=7)).startswith("2 clients were found wrong; 7 chunks")
