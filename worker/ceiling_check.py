"""The doctor's look at what the volunteer allows, beside what is used, and at the logins that pull images."""

from msgspec import structs

from dockercomp.protocol.registry_login import BadLogin, login_file, logins

from . import describe, limits, permission, status
from .describe import Check
from .house import LEAST_LEFT
from .limits import MIB
from .settings import Settings


def ceilings(settings: Settings) -> Check:
    """What the volunteer allows of disk and network and when, beside what is used."""
    wishes, found = settings.wishes, status.read(settings.home) or status.Status(state="never started")
    most = limits.ceiling(wishes, 1, MIB)
    used = [f"{name.lower()} {value}" for name, value in describe.volumes(structs.replace(found, ceiling=most))]
    finding = "; ".join([*used, *(rule.removesuffix(".") for rule in permission.rules(wishes))])
    if wishes.network_per_day and found.network_used > wishes.network_per_day - LEAST_LEFT:
        todo = "wait, or allow more with DC_NETWORK_PER_DAY; until then no chunks are taken"
        return Check(name="ceiling", result="warn", finding=finding, todo=todo)
    return Check(name="ceiling", result="ok", finding=finding)


def login(settings: Settings) -> Check:
    """Whether the volunteer's login to registries can be used, where there is one."""
    file = login_file(settings.registry_auth)
    try:
        known = sorted(logins(file))
    except BadLogin as error:
        todo = "mend the file, or docker login anew; until then images come from the master"
        return Check(name="registries", result="warn", finding=str(error), todo=todo)
    finding = f"logged in to {', '.join(known)} ({file})" if known else "no login; public registries serve"
    return Check(name="registries", result="ok", finding=finding)
