"""The page's HTML, from what the worker tells. Pure; every word from elsewhere is escaped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from dockercomp.protocol.messages import ContainerReport

from ..limits import MIB
from ..status import Status
from .fields import Choice, Field, Machine, Number, lent, shown, when

_STATES = {"verified": "read back", "applied": "done", "waiting": "waits", "failed": "failed"}
_PARTS = {"cpus": "CPUs"}
_PAUSES = (("30m", "for 30 minutes"), ("2h", "for 2 hours"), ("8h", "for 8 hours"), ("", "until I resume it"))


@dataclass(frozen=True)
class View:
    status: Status
    paused: bool
    """By the volunteer."""
    values: Mapping[str, str]
    """Of the configuration."""
    source: str
    machine: Machine
    now: float
    """Seconds since the epoch."""
    said: str = ""
    """What became of the last form."""
    refused: str = ""
    """Why the last form was not taken."""
    typed: Mapping[str, str] | None = None
    """What was typed into a form that was refused."""


def page(view: View) -> str:
    """The whole document; its links are relative to the page's secret address."""
    said = f'<p class="said" role="status">{escape(view.said)}</p>' if view.said else ""
    if view.refused:
        said = f'<p class="said wrong" role="alert">Not saved: {escape(view.refused)}</p>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>This machine's worker: dockerComp</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="page.css">
<script src="page.js" defer></script>
</head>
<body>
<header><h1>dockerComp on this machine</h1></header>
<main>
{said}
<div id="live">
{live(view)}
</div>
{_form(view)}
</main>
<footer><p>This page is for you alone and ends with its command. All of it is also in
<code>dockercomp-worker status</code>, <code>limits</code>, <code>pause</code> and <code>configure</code>.
<noscript>Reload it to see what has changed.</noscript></p></footer>
</body>
</html>
"""


def live(view: View) -> str:
    """The part that changes by itself."""
    found = view.status
    facts = [("Master", found.master), ("Known there as", found.client and f"{found.client} of {found.owner}")]
    if found.last_sync is not None:
        facts.append(("Last heard", f"{max(0.0, view.now - found.last_sync):.0f} s ago"))
    if found.pid:
        facts.append(("Results", f"{found.results_sent} sent, {found.results_waiting} waiting"))
        disk = f"{_mib(found.disk_used)} used{_of(found.ceiling.disk if found.ceiling else 0)}"
        network = f"{_mib(found.network_used)} in 24 hours{_of(found.ceiling.network_per_day if found.ceiling else 0)}"
        facts += [("Disk", disk), ("Network", network)]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in facts if value)
    rules = "".join(f"<li>{escape(rule)}</li>" for rule in [*found.rules, *found.consent])
    return f"""<section aria-labelledby="now">
<h2 id="now">Now <span class="state {escape(found.state)}">{escape(found.state)}</span></h2>
<p class="sentence">{escape(found.sentence or "It has not said anything yet.")}</p>
{_pausing(view)}
<dl>{rows}</dl>
</section>
{_problems(found.problems)}
{_containers(found.containers)}
{_parts(found)}
<section aria-labelledby="rules"><h2 id="rules">What holds</h2><ul>{rules or "<li>It works at any time.</li>"}</ul>
</section>"""


def _pausing(view: View) -> str:
    if view.paused:
        return '<form method="post" action="resume" class="inline"><button>Resume</button></form>'
    options = "".join(f'<option value="{value}">{words}</option>' for value, words in _PAUSES)
    return f"""<form method="post" action="pause" class="inline">
<label for="for">Pause</label> <select id="for" name="for">{options}</select> <button>Pause</button></form>"""


def _problems(problems: Sequence[str]) -> str:
    if not problems:
        return ""
    rows = "".join(f"<li>{escape(problem)}</li>" for problem in problems)
    return f'<section aria-labelledby="wrong" class="wrong"><h2 id="wrong">Problems</h2><ul>{rows}</ul></section>'


def _containers(reports: Sequence[ContainerReport]) -> str:
    if not reports:
        return '<section aria-labelledby="ctr"><h2 id="ctr">Containers</h2><p>None runs now.</p></section>'
    head = ("Container", "State", "Job", "Chunk", "CPUs used", "Memory used", "Pinned to", "Read from")
    rows = "".join(
        _row(
            report.name,
            report.state,
            report.job,
            report.chunk or "-",
            f"{_number(report.cpus_used)} of {_number(report.cpus_limit)}",
            f"{_mib(report.memory_used)} of {_mib(report.memory_limit)}",
            report.cpuset or "-",
            report.read_from or "-",
        )
        for report in reports
    )
    return _table("ctr", "Containers", head, rows)


def _parts(found: Status) -> str:
    """What the admin asked for, what the volunteer allows, and what is in force."""
    asked, most = found.allocation, found.ceiling
    if asked is None or most is None or found.applied is None:
        return ""
    each = max(1, asked.containers)
    words = {
        "containers": (str(asked.containers), str(most.containers)),
        "cpus": (f"{asked.cpus:g} each", f"{most.cpus / each:.3g} each, {most.cpus:g} in all"),
        "memory": (f"{_mib(asked.memory)} each", f"{_mib(most.memory // each)} each, {_mib(most.memory)} in all"),
        "disk": (_mib(asked.disk) if asked.disk else "-", _mib(most.disk) if most.disk else "no limit"),
        "jobs": (", ".join(asked.jobs) or "all", "by consent"),
        "priority": (asked.priority, "-"),
        "policy": (asked.policy, "-"),
        "paused": ("paused" if asked.paused else "running", "-"),
    }
    rows = "".join(
        _row(
            _PARTS.get(part.part, part.part),
            *words.get(part.part, ("", "")),
            part.actual or "-",
            ": ".join(word for word in (_STATES.get(part.state, part.state), part.why) if word),
        )
        for part in found.applied.parts
    )
    return _table("asked", "Asked and allowed", ("", "The admin asks", "You allow", "In force", "How far"), rows)


def _table(name: str, title: str, head: Sequence[str], rows: str) -> str:
    cells = "".join(f'<th scope="col">{word}</th>' if word else "<td></td>" for word in head)
    return f"""<section aria-labelledby="{name}"><h2 id="{name}">{title}</h2>
<div class="wide" role="group" aria-label="Table: {title}" tabindex="0"><table><thead><tr>{cells}</tr></thead>
<tbody>{rows}</tbody></table></div></section>"""


def _row(first: str, *others: str) -> str:
    return f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in others)}</tr>'


def _form(view: View) -> str:
    sliders = "".join(_field(each, view) for each in lent(view.machine))
    rules = "".join(_field(each, view) for each in when(view.machine))
    hook = view.values.get("DC_HOOK", "")
    program = (
        f"<p>Your own program is asked too: <code>{escape(hook)}</code>.</p>"
        if hook
        else "<p>A program of your own may decide too: <code>dockercomp-worker configure DC_HOOK=/its/path</code>.</p>"
    )
    return f"""<form method="post" action="configure" class="settings">
<fieldset><legend>What you lend, at most</legend>
<p>Whoever administers the master moves within it, never beyond. Empty: the default, named beside it.</p>{sliders}
</fieldset>
<fieldset><legend>When it works</legend>{rules}{program}</fieldset>
<p><button>Save</button> <span class="where">in <code>{escape(view.source)}</code>, followed within a second</span></p>
</form>"""


def _field(field: Field, view: View) -> str:
    value = escape((view.typed or {}).get(field.key, shown(field, view.values)))
    hint = f'<small id="{field.key}-hint">{escape(field.hint)}</small>' if field.hint else ""
    described = f' aria-describedby="{field.key}-hint"' if hint else ""
    name = f'id="{field.key}" name="{field.key}"{described}'
    if isinstance(field, Choice):
        known = dict(field.options)
        extra = () if value in known else ((value, f"{value} minutes"),)
        options = "".join(
            f'<option value="{option}"{" selected" if option == value else ""}>{words}</option>'
            for option, words in (*field.options, *extra)
        )
        control = f"<select {name}>{options}</select>"
    elif isinstance(field, Number):
        bounds = f'min="{field.least:g}" max="{field.most:g}" step="{field.step:g}"'
        control = (
            f'<input {name} inputmode="decimal" autocomplete="off" value="{value}" {_data(bounds)}'
            f' placeholder="{escape(field.default)}">'
        )
    else:
        control = f'<input {name} autocomplete="off" value="{value}" placeholder="{escape(field.example)}">'
    return f'<div class="field"><label for="{field.key}">{field.label}</label>{control}{hint}</div>'


def _data(bounds: str) -> str:
    """For the script, which puts a slider beside the number; the worker judges what is sent, not the browser."""
    return " ".join(f"data-{word}" for word in bounds.split())


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / MIB:.0f} MiB" if size < 10 * 1024 * MIB else f"{size / 2**30:.1f} GiB"


def _of(most: int) -> str:
    return f" of {_mib(most)}" if most else ""
