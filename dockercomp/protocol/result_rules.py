"""Rules of what is done with results: how they are compared, and which plots are drawn of them."""

import math
from collections.abc import Iterator

from .orders import ColumnRule, PlotSpec, VerifySpec
from .program_rules import relative
from .violation import Violation

MOST_QUORUM = 15
LEAST_CHECKED = 2
LEAST_FLOOR = 0.02
MOST_ULP = 2**52
MOST_PIXEL = 255
MOST_COLUMNS = 1000
MOST_PLOTS = 20
MOST_BINS = 10_000
MOST_TOP = 1_000_000
LONGEST_TITLE = 500

_NUMERIC = ("json", "numbers", "csv")


def verification(spec: VerifySpec) -> Iterator[Violation]:
    if not 1 <= spec.quorum <= MOST_QUORUM:
        yield Violation("verify.quorum", f"must be between 1 and {MOST_QUORUM}")
    yield from _checking(spec)
    yield from _tolerance("verify", spec)
    for key in ("rtol", "atol", "ulp"):
        if getattr(spec, key) and spec.compare not in _NUMERIC:
            yield Violation(
                f"verify.{key}", f'compares numbers: with compare = "json", "numbers" or "csv", {_not(spec)}'
            )
    if not 0 <= spec.pixel <= MOST_PIXEL:
        yield Violation("verify.pixel", f"must be between 0 and {MOST_PIXEL}")
    if spec.pixel and spec.compare != "image":
        yield Violation("verify.pixel", f'compares pictures: with compare = "image", {_not(spec)}')
    if spec.columns and spec.compare != "csv":
        yield Violation("verify.columns", f'belong to compare = "csv", {_not(spec)}')
    if len(spec.columns) > MOST_COLUMNS:
        yield Violation("verify.columns", f"may name {MOST_COLUMNS} columns")
    for name, rule in spec.columns.items():
        if "\0" in name:
            yield Violation("verify.columns", "must not contain a zero byte")
        yield from _column(f"verify.columns.{name}", rule)


def _checking(spec: VerifySpec) -> Iterator[Violation]:
    if not LEAST_FLOOR <= spec.floor <= 1:
        yield Violation(
            "verify.floor", f"must be between {LEAST_FLOOR} and 1: the least chance that a result is checked"
        )
    if not 0 <= spec.target_error < 1:
        yield Violation("verify.target_error", 'must be a share such as "1 in 10000", below 1')
    if spec.policy == "adaptive":
        if spec.quorum < LEAST_CHECKED:
            yield Violation("verify.quorum", 'must be at least 2 with policy = "adaptive": what a checked chunk needs')
        return
    for key in ("floor", "target_error"):
        if getattr(spec, key) != getattr(VerifySpec(), key):
            yield Violation(f"verify.{key}", f'belongs to policy = "adaptive", not to "{spec.policy}"')
    if spec.policy == "none" and (spec.same_cpu or spec.independent != "client"):
        yield Violation("verify", 'has no checks with policy = "none", so same_cpu and independent say nothing')


def _not(spec: VerifySpec) -> str:
    return f'not with "{spec.compare}"'


def _column(path: str, rule: ColumnRule) -> Iterator[Violation]:
    yield from _tolerance(path, rule)
    if rule.compare != "number" and (rule.rtol or rule.atol or rule.ulp):
        yield Violation(path, 'has a tolerance, so it needs compare = "number"')


def _tolerance(path: str, rule: VerifySpec | ColumnRule) -> Iterator[Violation]:
    for key, value in (("rtol", rule.rtol), ("atol", rule.atol)):
        if not (value >= 0 and math.isfinite(value)):
            yield Violation(f"{path}.{key}", "must be 0 or more, and finite")
    if not 0 <= rule.ulp <= MOST_ULP:
        yield Violation(f"{path}.ulp", "must be between 0 and 2^52")


def plots(specs: list[PlotSpec]) -> Iterator[Violation]:
    if len(specs) > MOST_PLOTS:
        yield Violation("plots", f"may be {MOST_PLOTS} at most")
    for number, spec in enumerate(specs, 1):
        yield from _plot(f"plots.{number}", spec)


def _plot(path: str, spec: PlotSpec) -> Iterator[Violation]:
    if max(map(len, (spec.title, spec.x, spec.x_label, spec.y_label, *spec.y))) > LONGEST_TITLE:
        yield Violation(path, f"has a text of more than {LONGEST_TITLE} letters")
    if spec.file and not relative(spec.file):
        yield Violation(
            f"{path}.file", f'{spec.file!r} must be a pattern such as "*.csv": no / at the beginning, no ..'
        )
    if not 0 <= spec.top <= MOST_TOP:
        yield Violation(f"{path}.top", f"must be between 0 (all) and {MOST_TOP}")
    if not 1 <= spec.bins <= MOST_BINS:
        yield Violation(f"{path}.bins", f"must be between 1 and {MOST_BINS}")
    if spec.kind == "image" and (spec.x or spec.y):
        yield Violation(path, "shows a picture that the job made: it has no x and y")
