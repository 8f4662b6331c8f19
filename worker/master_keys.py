"""The keys that this worker takes its master's orders by: the one pinned when it enrolled, and those that follow it.

A new key is accepted where each key from the pinned one on signed its successor (protocol.keychain). The chain is kept
in DC_HOME/worker/master_keys.json, so that a restart needs no line to the master; what stands there is checked as it
was when it came.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec

from dockercomp.machine.home import write_private
from dockercomp.protocol.errors import DockercompError
from dockercomp.protocol.keychain import KeyChain, KeyLink, predecessors, successors
from dockercomp.protocol.signing import names_key

log = logging.getLogger(__name__)

ASK_EVERY_S = 60.0


class MasterKeys:
    """Safe for many threads."""

    def __init__(self, home: Path, pinned: str, chain: Callable[[], KeyChain]) -> None:
        """`chain` asks the master for its chain of keys."""
        self._path = home / "worker" / "master_keys.json"
        self._pinned, self._chain = pinned, chain
        self._lock = threading.Lock()
        self._accepted = successors(pinned, _read(self._path))
        self._asked = -ASK_EVERY_S

    def accepted(self) -> Collection[str]:
        return self._accepted

    def meet(self, key: str) -> None:
        """An order says that this key signed it: if it is not accepted, ask the master for the chain, at most every
        ASK_EVERY_S seconds. Without an answer nothing changes. Raises OSError where the chain cannot be kept."""
        with self._lock:
            if key in self._accepted or time.monotonic() - self._asked < ASK_EVERY_S:
                return
            self._asked = time.monotonic()
            try:
                links = self._chain().links
            except DockercompError as error:
                log.warning("the master has another key now, and its chain of keys cannot be had: %s", error)
                return
            found = successors(self._pinned, links)
            if key not in found:
                log.error("the master's key %s does not follow from the one that this worker enrolled with", key)
                return
            self._accepted = found  # it holds until a restart even where it cannot be written
            log.info("the master's key is now %s, signed by the one before it", found[-1])
            write_private(self._path, msgspec.json.encode(links))


def is_pinned(pin: str, key: str, chain: Callable[[], KeyChain], *, kept: bool = False) -> bool:
    """Whether `pin`, a key or its fingerprint, names the key that a master shows, or one whose signatures lead to it;
    of a key that is `kept` from before also one that it leads to. Without a pin any key is.

    `chain` is asked only where they differ; raises what it raises.
    """
    if not pin or names_key(pin, key):
        return True
    links = chain().links
    led_to = any(names_key(pin, old) and key in successors(old, links) for old in predecessors(key, links))
    return led_to or (kept and any(names_key(pin, each) for each in successors(key, links)))


def _read(path: Path) -> Sequence[KeyLink]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[KeyLink])
    except FileNotFoundError:
        return ()
    except msgspec.DecodeError:
        log.warning("%s cannot be read; the chain of the master's keys is asked for anew", path)
        return ()
