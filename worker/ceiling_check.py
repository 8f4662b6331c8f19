"""The doctor's look at what the volunteer allows, beside what is used, and at the logins that pull images."""

from pathlib import Path

from msgspec import structs

from dockercomp.protocol.registry_login import BadLogin, login_file, logins

from . import describe, hook, limits, permission, status, temperature
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


def policy(settings: Settings, root: Path = Path("/")) -> Check:
    """Whether this machine can follow the volunteer's own rules: its temperature is told, the hook can be asked."""
    wishes = settings.wishes
    heat = temperature.celsius(root)
    told = "the machine tells no temperature" if heat is None else f"the processor has {heat:.0f} °C"
    if wishes.temperature is not None and heat is None:
        todo = "take DC_TEMPERATURE out; DC_HOOK can ask whatever else knows it"
        return Check(name="policy", result="warn", finding=f"DC_TEMPERATURE has no effect: {told}", todo=todo)
    if not wishes.hook:
        return Check(name="policy", result="ok", finding=f"no program of your own is asked; {told}")
    why = hook.ask(wishes.hook, {"DC_HOME": str(settings.home), "DC_STATE": "idle"})
    if why.startswith("DC_HOOK="):
        return Check(name="policy", result="warn", finding=why, todo="until then no work is taken")
    return Check(name="policy", result="ok", finding=f"{wishes.hook} says {f'no: {why}' if why else 'yes'}; {told}")


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
