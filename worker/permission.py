"""Whether chunks may be worked on now, and if not, why: the one rule behind hours, use, battery and volumes. Pure."""

from dataclasses import dataclass
from datetime import datetime

from .limits import Wishes
from .temperature import COOLER


@dataclass(frozen=True)
class Surroundings:
    """The machine around the containers, at one moment."""

    now: datetime
    """Local time, without a zone."""
    unused_s: float = 0.0
    """Seconds since somebody else used the machine."""
    used_by: str = ""
    """What showed that use."""
    on_battery: bool = False
    celsius: float | None = None
    """The processor's temperature, where the machine tells."""
    too_hot: bool = False
    hook: str = ""
    """Why the volunteer's own program says no; empty where it does not."""
    disk_full: str = ""
    """What the disk's ceiling says, where nothing more may be stored."""
    network_resumes: datetime | None = None
    """When bytes may flow again, where the day's are used up."""
    limits_hold: bool = True
    """Whether the engine enforces limits on CPU and memory, as far as is known."""


@dataclass(frozen=True)
class Verdict:
    """`why` is empty where work may go on. `freeze`: what runs stops too, not only what would begin."""

    why: str = ""
    freeze: bool = False


def judge(wishes: Wishes, around: Surroundings) -> Verdict:
    """What the volunteer's wishes say of this moment, the first reason that holds."""
    if not around.limits_hold and wishes.unlimited == "refuse":
        return Verdict(
            "Takes no work: this Docker Engine does not enforce limits on CPU and memory (rootless Docker needs cgroup"
            " v2 with delegation). Use another engine, or set DC_UNLIMITED=warn to run without limits.",
            freeze=True,
        )
    if wishes.hours is not None and not wishes.hours.open_at(around.now):
        opens = _said(wishes.hours.opens(around.now), around.now)
        return Verdict(f"Outside DC_HOURS: goes on {opens}; without the key it works at any time.", freeze=True)
    if around.on_battery and not wishes.on_battery:
        return Verdict("On battery: goes on when the machine has power again (DC_ON_BATTERY=no).", freeze=True)
    if around.too_hot and wishes.temperature is not None:
        now = "" if around.celsius is None else f"{around.celsius:.0f} °C: "
        return Verdict(
            f"Too hot, {now}goes on below {wishes.temperature - COOLER:g} °C (DC_TEMPERATURE={wishes.temperature:g}).",
            freeze=True,
        )
    if wishes.idle_s is not None and around.unused_s < wishes.idle_s:
        return Verdict(
            f"The machine is in use ({around.used_by}): goes on once it was not for"
            f" {wishes.idle_s / 60:g} minutes (DC_WHEN_IDLE).",
            freeze=True,
        )
    if around.hook:
        return Verdict(f"Your hook pauses it: {around.hook.rstrip('.')}.", freeze=True)
    if around.disk_full:
        return Verdict(f"Takes no more chunks: {around.disk_full}.")
    if around.network_resumes is not None:
        when = _said(around.network_resumes, around.now)
        return Verdict(f"Takes no more chunks: DC_NETWORK_PER_DAY is used up; goes on {when}.")
    return Verdict()


def rules(wishes: Wishes) -> list[str]:
    """What the volunteer wrote about when to work, a sentence each."""
    found = [f"Hours: {wishes.hours}." if wishes.hours else ""]
    found.append(f"Only when unused for {wishes.idle_s / 60:g} minutes." if wishes.idle_s is not None else "")
    found.append("" if wishes.on_battery else "Never on battery.")
    found.append(f"Only below {wishes.temperature:g} °C." if wishes.temperature is not None else "")
    found.append(f"Only while {wishes.hook} says so." if wishes.hook else "")
    found.append("Also where the engine enforces no limits." if wishes.unlimited == "warn" else "")
    return [sentence for sentence in found if sentence]


def _said(moment: datetime, now: datetime) -> str:
    """`at 18:00`, or with the day where it is another."""
    return f"at {moment:%H:%M}" if moment.date() == now.date() else f"on {moment:%A} at {moment:%H:%M}"
