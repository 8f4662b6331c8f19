"""The network for jobs that want one and may have it: outbound to public addresses, and to nothing else.

Docker alone would let a container reach the volunteer's own network, the machine itself and its cloud's metadata; the
firewall keeps it from that. Where there can be no such firewall, there is no such network.
"""

import contextlib
import logging
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

from dockercomp.machine import firewall_rules
from dockercomp.machine.firewall_rules import bridge_of, chain, iptables, jumps

from . import firewall
from .access import Network
from .consent import Consent, Hindrances
from .engine import Engine, EngineError
from .ledger import Ledger, NetworkUsedUp
from .limits import Wishes
from .tasks import EngineFacts

log = logging.getLogger(__name__)

RESOLVERS = ("9.9.9.9", "1.1.1.1")
_RESTORE = ("iptables-restore", "--wait", "--noflush")
_LOOK_AGAIN = 10.0
"""Seconds after which the firewall is looked at again: reloading another one may have swept it away."""
_IPV6 = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_INTERFACES = Path("/proc/thread-self/net/dev")
_ROUTES = Path("/proc/thread-self/net/route")


class Outbound:
    """Safe for many threads."""

    def __init__(self, engine: Engine, facts: EngineFacts, ledger: Ledger) -> None:
        """What containers send and receive is counted in `ledger`; when its volume is used up they are cut off."""
        self._engine, self._facts, self._ledger = engine, facts, ledger
        self._counted = 0
        self._bridge = bridge_of(engine.instance)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None

    def hindrance(self) -> str:
        """Why a container with a network could not be kept off the volunteer's own; empty where it can."""
        if self._facts.rootless:
            return "a rootless engine's network cannot be bounded"
        if os.geteuid() != 0:
            return "the worker does not run as root, so it can set no firewall around containers"
        if not (shutil.which("iptables") and shutil.which("iptables-restore")):
            return "there is no iptables to set a firewall with; install the package iptables"
        if not self._facts.bridge_firewall:
            return "the engine keeps no firewall: it runs without a bridge, or with --iptables=false"
        if not firewall_rules.is_there("DOCKER-USER"):
            return "iptables has no chain DOCKER-USER: the engine's firewall is not where it can be added to"
        return ""

    def hindrances(self, wished: Consent) -> Hindrances:
        """The same in the gate's terms, asked only where the volunteer would allow it."""
        why = self.hindrance() if "network" in wished.allows else ""
        return (("network", why),) if why else ()

    def bounded(self, wishes: Wishes) -> Wishes:
        """The volunteer's wishes without consent to what cannot be bounded."""
        consent = replace(wishes.consent, hindered=self.hindrances(wishes.consent))
        return replace(wishes, consent=consent)

    def ensure(self) -> Network:
        """The network, with its firewall in force. Raises EngineError where either cannot be had."""
        with self._lock:
            why = self.hindrance()
            if why:
                raise EngineError(f"there can be no network for containers: {why}")
            self._engine.make_network(self._bridge, self._bridge)
            self._enforce()
            if self._watch is None:
                self._watch = threading.Thread(target=self._watch_loop, name="outbound", daemon=True)
                self._watch.start()
        sysctls = {"net.ipv6.conf.all.disable_ipv6": "1"} if _IPV6.exists() else {}
        return Network(name=self._bridge, resolvers=RESOLVERS, sysctls=sysctls)

    def remove(self) -> None:
        """Take network and firewall away; harmless where there are none."""
        with self._lock:
            self._stop.set()
            with contextlib.suppress(EngineError):
                self._engine.remove_network(self._bridge)
            if firewall_rules.is_there(chain(self._bridge)):
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    firewall_rules.remove(self._bridge)

    def _enforce(self) -> None:
        """Raises EngineError unless the firewall is in force afterwards."""
        try:
            text = firewall.rules(self._bridge, firewall.attached(_ROUTES.read_text(encoding="ascii")))
            made = subprocess.run(_RESTORE, input=text, capture_output=True, text=True, timeout=30, check=False)
            if made.returncode != 0:
                raise EngineError(f"the firewall around containers cannot be set: {made.stderr.strip()}")
            for jump in jumps(self._bridge):
                if iptables("-C", *jump).returncode != 0:
                    put = iptables("-I", *jump)
                    if put.returncode != 0:
                        raise EngineError(f"the firewall around containers cannot be set: {put.stderr.strip()}")
        except (OSError, subprocess.SubprocessError) as error:
            raise EngineError(f"the firewall around containers cannot be set: {error}") from error

    def _watch_loop(self) -> None:
        while not self._stop.wait(_LOOK_AGAIN):
            self._look()

    def _look(self) -> None:
        """Count, and see that the firewall is in force; where either fails, no container stays in the network."""
        try:
            self._tally()
            with self._lock:
                if not self._stop.is_set():
                    self._enforce()
        except (EngineError, NetworkUsedUp, OSError) as error:
            log.error("containers with a network are cut off: %s", error)
            with contextlib.suppress(EngineError):
                self._engine.cut_off(self._bridge)

    def _tally(self) -> None:
        """Count what went over the bridge since the last look.

        Raises EngineError when the day's volume is used up, NetworkUsedUp when the overdraft is as well.
        """
        total = firewall.traffic(self._bridge, _INTERFACES.read_text(encoding="ascii"))
        new = total - self._counted if total >= self._counted else total
        self._counted = total  # first: counting may raise, and these bytes are in the ledger then
        self._ledger.count(new)
        if self._ledger.limit and self._ledger.used() >= self._ledger.limit:
            raise EngineError("the network volume of 24 hours is used up")
