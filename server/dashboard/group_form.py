"""The form of a group of clients: which belong to it, and what it gives them."""

from typing import Any

from wtforms import FloatField, IntegerField, StringField
from wtforms.validators import InputRequired, NumberRange, Optional

from dockercomp.protocol.views import GroupChange, GroupRule
from server.allocations import group_violations
from server.dashboard.allocation import MannerForm, manner_of, plain, words
from server.dashboard.wording import GIB, MIB

_FIELD_OF = {"rule": "tags"}
"""By which field it is said what is wrong with a part of a group that has several."""


class GroupForm(MannerForm):
    tags = StringField("Tags")
    owner = StringField("Owner")
    machine = StringField("Machine's name")
    platform = StringField("Platform")
    least_cpus = FloatField("At least CPUs", [Optional()])
    least_memory = FloatField("At least memory", [Optional(), NumberRange(0, 2**23, "Enter a number of GiB.")])
    order = IntegerField("Order", [InputRequired("Enter a whole number.")], default=100)
    share = FloatField("Share of each member's ceiling", [InputRequired("Enter a number of percent.")], default=100)
    containers = IntegerField("Containers", [Optional()])
    cpus = FloatField("CPUs per container", [Optional()])
    memory = IntegerField("Memory per container", [Optional()])

    @classmethod
    def of(cls, group: GroupChange, version: int) -> "GroupForm":
        """The form as it stands before anything is typed."""
        rule = group.rule
        return cls(
            formdata=None,
            version=str(version),
            tags=", ".join(rule.tags),
            owner=rule.owner,
            machine=rule.name,
            platform=rule.platform,
            least_cpus=plain(rule.least_cpus) or None,
            order=group.order,
            containers=group.containers,
            cpus=plain(group.cpus),
            **_rounded(group),
            **manner_of(group),
        )

    def change(self, now: GroupChange | None = None) -> GroupChange | None:
        """The group that is asked for, if it is possible; else None, and the fields say why not."""
        if not self.validate_on_submit():
            return None
        typed = {
            "least_memory": round((self.least_memory.data or 0) * GIB),
            "share": self.share.data / 100,
            "memory": None if self.memory.data is None else self.memory.data * MIB,
        }
        if now is not None:  # what was not touched stays as it is, though the form shows it rounded
            exact = {"least_memory": now.rule.least_memory, "share": now.share, "memory": now.memory}
            typed |= {name: exact[name] for name, shown in _rounded(now).items() if self[name].data == shown}
        change = GroupChange(
            rule=GroupRule(
                tags=words(self.tags.data),
                owner=(self.owner.data or "").strip(),
                name=(self.machine.data or "").strip(),
                platform=(self.platform.data or "").strip(),
                least_cpus=self.least_cpus.data or 0.0,
                least_memory=typed["least_memory"],
            ),
            order=self.order.data,
            share=typed["share"],
            containers=self.containers.data,
            cpus=self.cpus.data,
            memory=typed["memory"],
            **self.manner(now),
        )
        for field, reason in group_violations(change):
            self.refuse(_FIELD_OF.get(field, field), reason)
        return None if self.errors else change


def _rounded(group: GroupChange) -> dict[str, Any]:
    """What the form shows rounded: in GiB, percent and MiB."""
    return {
        "least_memory": plain(round(group.rule.least_memory / GIB, 2)) or None,
        "share": plain(round(100 * group.share, 2)),
        "memory": None if group.memory is None else group.memory // MIB,
    }


def ruled(rule: GroupRule) -> str:
    """Whom a rule takes, in words."""
    parts = [
        f"tagged {' and '.join(rule.tags)}" if rule.tags else "",
        f"of {rule.owner}" if rule.owner else "",
        f"named {rule.name}" if rule.name else "",
        f"on {rule.platform}" if rule.platform else "",
        f"with at least {rule.least_cpus:g} CPUs" if rule.least_cpus else "",
        f"with at least {rule.least_memory / GIB:g} GiB of memory" if rule.least_memory else "",
    ]
    return ", ".join(part for part in parts if part) or "every client"


def gives(group: GroupChange) -> str:
    """What a group gives a member, in words."""
    share = f"{100 * group.share:g} % of its ceiling"
    containers = "as many containers as fit" if group.containers is None else f"{group.containers} containers"
    each = [f"{group.cpus:g} CPUs"] if group.cpus is not None else []
    each += [f"{group.memory / MIB:g} MiB"] if group.memory is not None else []
    return f"{share}, in {containers}" + f" of {' and '.join(each)}" * bool(each) + "; paused" * group.paused
