"""For all tests: a known beginning, wherever they are run from."""

import signal


def pytest_configure() -> None:
    """Started in the background, a shell leaves SIGINT ignored, and every child would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
