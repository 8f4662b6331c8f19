"""`dockercomp-worker doctor`: tests engine, limits, disk, clock, connection and credentials before work is sent."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dockercomp.machine import docker_host
from dockercomp.machine.docker_host import NoEngineError, NoPermissionError
from dockercomp.machine.home import instance_label
from dockercomp.protocol.errors import DockercompError, Forbidden, NotFound, Unauthorized

from . import consent as consents
from . import identity
from .ceiling_check import ceilings, login, policy
from .consent import Consent, Hindrances
from .describe import Check
from .engine import Engine, EngineError
from .ledger import Ledger
from .limits import MIB
from .limits_check import limits_check
from .master_client import MasterClient
from .outbound import Outbound
from .settings import Settings
from .tasks import EngineFacts

MOST_SKEW = 60.0
"""Seconds that this machine's clock may differ from the master's."""
LEAST_DISK = 2048 * MIB
OLDEST_ENGINE = (20, 10)


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which they build on each other."""
    own = [disk(settings.home), ceilings(settings), policy(settings), login(settings)]
    return [*_engine_checks(settings), *own, *_master_checks(settings)]


# --- the engine ---


def _engine_checks(settings: Settings) -> Iterator[Check]:
    environ = settings.engine_environ(os.environ)
    try:
        address = docker_host.find(settings.home, environ)
        engine = Engine(instance_label(settings.home), address)
        facts = engine.facts()
    except (NoEngineError, EngineError) as error:
        yield engine_missing(error, settings.home)
        return
    yield Check(name="engine", result="ok", finding=f"Docker Engine {facts.version} answers at {address}")
    yield engine_version(facts)
    rootless = ", rootless" if facts.rootless else ""
    yield Check(name="platform", result="ok", finding=f"{facts.platform}, cgroup {facts.cgroup}{rootless}")
    yield consent_check(settings.wishes.consent, Outbound(engine, facts, Ledger(settings.home)).hindrances)
    yield limits_check(engine, address, facts, settings.home, settings.wishes.unlimited)


def engine_missing(error: Exception, home: Path) -> Check:
    """No permission, not running and not installed are told apart, as each has another mend."""
    if isinstance(error, NoPermissionError):
        finding, todo = "no permission for Docker's socket", "sudo usermod -aG docker $USER, then log in again"
    elif shutil.which("dockerd") or any(
        Path(place.removeprefix("unix://")).exists() for place in docker_host.candidates(home)
    ):
        finding, todo = "Docker is installed, but does not run", "sudo systemctl start docker (or dockerd)"
    else:
        finding, todo = "Docker is not installed", "run installer.sh again, or install docker.io"
    return Check(name="engine", result="FAIL", finding=f"{finding}: {error}", todo=todo)


def engine_version(facts: EngineFacts) -> Check:
    numbers = tuple(int(part) for part in facts.version.split("+")[0].split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_ENGINE:
        return Check(name="version", result="ok", finding=facts.version)
    return Check(
        name="version",
        result="FAIL",
        finding=f"Docker Engine {facts.version} is older than {OLDEST_ENGINE[0]}.{OLDEST_ENGINE[1]}",
        todo="install a newer Docker Engine",
    )


def consent_check(wished: Consent, hindrances: Callable[[Consent], Hindrances]) -> Check:
    """What jobs may have here, as found out on this machine, and whose."""
    found = replace(wished, hindered=hindrances(wished))
    finding = " ".join(consents.sentences(found))
    if found.hindered:
        names = ", ".join(want for want, _ in found.hindered)
        todo = f"mend that, or take {names} out of DC_ALLOW"
    elif consents.weakness(found):
        finding, todo = f"{finding} But {consents.weakness(found)}.", "name the scientists' keys in DC_SCIENTISTS"
    else:
        return Check(name="consent", result="ok", finding=finding)
    return Check(name="consent", result="warn", finding=finding, todo=todo)


# --- this machine ---


def disk(home: Path) -> Check:
    place = next(parent for parent in (home, *home.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    finding = f"{free / 2**30:.1f} GiB free under {home}"
    if free >= LEAST_DISK:
        return Check(name="disk", result="ok", finding=finding)
    todo = f"free some space ({LEAST_DISK // MIB} MiB are needed), or give DC_HOME another place"
    return Check(name="disk", result="FAIL", finding=finding, todo=todo)


# --- the master ---


def _master_checks(settings: Settings) -> Iterator[Check]:
    master = MasterClient(settings.url, pin=settings.tls_pin)
    try:
        ahead = master.clock_offset()
    except (DockercompError, KeyError, ValueError) as error:
        todo = "worker/test_server_conn tells more; check DC_HOST, DC_PORT, DC_SCHEME and firewalls"
        yield Check(name="master", result="FAIL", finding=f"{settings.url} cannot be used: {error}", todo=todo)
        return
    yield Check(name="master", result="ok", finding=f"{settings.url} answers")
    yield clock(ahead)
    yield _credentials(settings, master)


def clock(ahead: float) -> Check:
    """`ahead` is how many seconds this machine's clock is ahead of the master's."""
    amount = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the master's"
    if abs(ahead) <= MOST_SKEW:
        return Check(name="clock", result="ok", finding=amount)
    todo = "set the clock: sudo timedatectl set-ntp true (the master's may be the wrong one)"
    return Check(name="clock", result="FAIL", finding=f"this machine's clock is {amount}", todo=todo)


def _credentials(settings: Settings, master: MasterClient) -> Check:
    who = identity.load(settings.home)
    if who is None or not who.client:
        if settings.token:
            return Check(name="credentials", result="ok", finding="not enrolled yet; an enrolment token is there")
        todo = "set DC_TOKEN in the configuration to a token from the master's admin"
        return Check(name="credentials", result="FAIL", finding="not enrolled, and no enrolment token", todo=todo)
    try:
        master.authorised(who.client, who.secret).check_credentials()
    except (NotFound, Forbidden):
        pass  # it was asked for a lease that nobody has: what counts is that it knows us
    except Unauthorized as error:
        todo = "set DC_TOKEN to a new token from the master's admin, then start the worker again"
        return Check(name="credentials", result="FAIL", finding=f"client {who.client} is refused: {error}", todo=todo)
    except DockercompError as error:
        return Check(name="credentials", result="FAIL", finding=f"could not be checked: {error}", todo="try again")
    return Check(name="credentials", result="ok", finding=f"the master knows this machine as {who.client}")
