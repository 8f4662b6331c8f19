"""Figures into the docs: `python -m bench.report FOLDER` replaces the tables between `<!-- figures: NAME -->` and
`<!-- end -->` in docs/experiments.md by those of FOLDER's mix.json, control.json … as `--json` wrote them."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import click

from bench import CHECKOUT
from bench.rows import Row

PAGE = CHECKOUT / "docs" / "experiments.md"
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Found = Mapping[tuple[str, str, str], Row]
"""By system, variant and metric."""


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """In Markdown; numbers to the right is not worth the colons."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines)) + "\n"


def _variants(found: Found, metric: str, pattern: str = ".*") -> list[re.Match[str]]:
    """Variants that have this metric and match, in the order of their rows."""
    matches = (re.fullmatch(pattern, variant) for _, variant, each in found if each == metric)
    return [match for match in matches if match]


def _ours(found: Found, variant: str, metric: str, shown: str, system: str = "dockercomp") -> str:
    row = found.get((system, variant, metric))
    return shown.format(row.median) if row else ""


def sweep(found: Found) -> str:
    parts = _variants(found, "wall_s", r"(\w+), width ([\d.]+)")
    widths = list(dict.fromkeys(part[2] for part in parts))
    programs = dict.fromkeys(part[1] for part in parts)
    cells = ([p, *(_ours(found, f"{p}, width {w}", "wall_s", "{:.2f}") for w in widths)] for p in programs)
    return table(["program", *(f"{width} CPUs" for width in widths)], cells)


def split(found: Found) -> str:
    names = [each[1] for each in _variants(found, "total_s", r"split (\S+)")]
    metrics = ("one_s", "other_s", "total_s")
    cells = ([name, *(_ours(found, f"split {name}", metric, "{:.2f} s") for metric in metrics)] for name in names)
    return table(["weights", "one ends after", "the other after", "total"], cells)


def mix(found: Found) -> str:
    header = ["K", "overcommit", "equal", "by curve", "equal over overcommit", "by curve over equal", "worst program"]
    lines = []
    for k in dict.fromkeys(each[1] for each in _variants(found, "mean_wall_s", r"K = (\d+), \w+")):
        walls = [
            _ours(found, f"K = {k}, {policy}", "mean_wall_s", "{:.2f} s") for policy in ("overcommit", "equal", "curve")
        ]
        gains = [
            _ours(found, f"K = {k}, {pair}", "gain", "{:+.0%}")
            for pair in ("equal over overcommit", "curve over equal")
        ]
        lines.append([k, *walls, *gains, _ours(found, f"K = {k}, curve over equal", "worst_program", "{:.2f}")])
    return table(header, lines)


_KS = ("2", "4", "8", "16")


def simulated(found: Found) -> str:
    lines = [["**published**", *(_ours(found, f"K = {k}", "equal_gain", "**{:.0%}**", "published") for k in _KS)]]
    names = dict.fromkeys((m[1], m[3]) for m in _variants(found, "equal_gain", r"(\d+) threads, K = (\d+), (.*)"))
    for threads, assumed in sorted(names, key=lambda name: (name[1], int(name[0]))):
        cells = (
            _ours(found, f"{threads} threads, K = {k}, {assumed}", "equal_gain", "{:.0%}", "simulator") for k in _KS
        )
        lines.append([f"{threads} threads; points {assumed}", *cells])
    return table(["", *(f"K = {k}" for k in _KS)], lines)


def curve(found: Found) -> str:
    lines = []
    for name in dict.fromkeys(m[1] for m in _variants(found, "curve_gain", r"\d+ threads, K = \d+, (.*)")):
        for threads in dict.fromkeys(m[1] for m in _variants(found, "curve_gain", rf"(\d+) threads, K = \d+, {name}")):
            variants = [f"{threads} threads, K = {k}, {name}" for k in _KS]
            cells = [
                f"{_ours(found, variant, 'curve_gain', '{:.0%}', 'simulator')}"
                f" (slowdown {_ours(found, variant, 'worst_slowdown', '{:.0%}', 'simulator')})"
                for variant in variants
            ]
            lines.append([f"{threads} threads, {name}", *cells])
    return table(["gain over equal", *(f"K = {k}" for k in _KS)], lines)


def control(found: Found) -> str:
    shown = {
        "cgroup, p95": ("cgroup_p95_s", "{:.2f} s"),
        "verified, median": ("verified_p50_s", "{:.2f} s"),
        "verified, p95": ("verified_p95_s", "{:.2f} s"),
        "cold, median": ("cold_p50_s", "{:.1f} s"),
        "cold, p95": ("cold_p95_s", "{:.1f} s"),
        "restarts": ("restarts", "{:.0f}"),
        "lost chunks": ("lost_chunks", "{:.0f}"),
    }
    names = [each[0] for each in _variants(found, "verified_p95_s")]
    lines = [[name, *(_ours(found, name, metric, how) for metric, how in shown.values())] for name in names]
    hand = _ours(found, "by hand", "cgroup_s", "{:.2f} s", "docker-update")
    return table(["", *shown], [*lines, ["`docker update` by hand", hand, *[""] * (len(shown) - 1)]])


def foreground(found: Found) -> str:
    alone = f"{_ours(found, 'no load', 'burst_s', '{:.2f} s', 'alone')}"
    wake = f"{_ours(found, 'no load', 'wake_p99_ms', '{:.1f} ms', 'alone')}"
    names = [each[0] for each in _variants(found, "burst_ratio")]
    metrics = ("burst_ratio", "wake_p99_ratio")
    lines = [[name, *(_ours(found, name, metric, "{:.2f}") for metric in metrics)] for name in names]
    return table(["beside", "burst", "waking program, p99"], [["nothing", alone, wake], *lines])


def daemon(found: Found) -> str:
    names = [each[0] for each in _variants(found, "cpu_percent")]
    shown = (("cpu_percent", "{:.1f} %"), ("rss_mib", "{:.0f} MiB"))
    lines = [[name, *(_ours(found, name, metric, how) for metric, how in shown)] for name in names]
    return table(["", "of a core", "memory"], lines)


FIGURES: Mapping[str, tuple[str, Callable[[Found], str]]] = {
    "sweep": ("mix", sweep),
    "split": ("mix", split),
    "mix": ("mix", mix),
    "simulated": ("mix", simulated),
    "curve": ("mix", curve),
    "control": ("control", control),
    "foreground": ("foreground", foreground),
    "daemon": ("daemon", daemon),
}
"""Of which benchmark, and how they are shown."""


def filled(page: str, folder: Path) -> str:
    """The page with the figures that the folder has; others stay."""

    def block(match: re.Match[str]) -> str:
        bench, shown = FIGURES[match[2]]
        path = folder / f"{bench}.json"
        if not path.exists():
            return match[0]
        rows = [Row(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]
        return match[1] + shown({(row.system, row.variant, row.metric): row for row in rows}) + match[3]

    return _BLOCK.sub(block, page)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(folder: Path) -> None:
    """Put the figures of FOLDER into docs/experiments.md."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), folder), encoding="utf-8")


if __name__ == "__main__":
    main()
