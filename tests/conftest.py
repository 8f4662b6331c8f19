"""For all tests: a known beginning, wherever they are run from."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings

_KEYS = Path(tempfile.gettempdir(), f"dockercomp-test-keys-{os.getpid()}")


def pytest_configure() -> None:
    """Jobs are signed with a key of the tests' own, not with one in the home of who runs them.

    Started in the background, a shell leaves SIGINT ignored, and every child would inherit that.
    """
    # How long an example took says something of the machine only.
    settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("ours")
    os.environ["DC_SIGNING_KEY"] = str(_KEYS / "scientist.key")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    shutil.rmtree(_KEYS, ignore_errors=True)
