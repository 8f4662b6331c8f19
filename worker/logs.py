"""The worker's log: DC_HOME/log/worker.log, rotated at 5 MiB, three old ones kept; and stderr."""

import logging
import logging.handlers
from pathlib import Path

_FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s: %(message)s"


def path(home: Path) -> Path:
    return home / "log" / "worker.log"


def start(home: Path) -> None:
    file = path(home)
    file.parent.mkdir(parents=True, exist_ok=True)
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(file, maxBytes=5 * 2**20, backupCount=3, encoding="utf-8"),
        logging.StreamHandler(),
    ]
    logging.basicConfig(level=logging.INFO, format=_FORMAT, handlers=handlers, force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
