"""The command behind `cleanup` and `installer.sh --uninstall`: asks, removes, and says what is left."""

import argparse
import os
import sys
from pathlib import Path

from .configuration import ConfigurationError, read
from .home import default_home
from .removal import MARKER, NotOursError, Removal, remove_packages


def main(argv: list[str] | None = None, configuration: Path | None = None) -> int:
    """Exit codes: 0 all taken back (or nothing was there), 1 something is left, 2 wrong usage or not ours."""
    options = _options(argv)
    try:
        values = read(configuration)
    except ConfigurationError as error:
        print(f"cleanup: {error}", file=sys.stderr)
        return 2
    home = (options.home or default_home({**os.environ, **values})).resolve()
    if not home.exists():
        print(f"nothing to remove: there is no {home}")
        return 0
    removal = Removal(home, lambda what: print(f"  {what}", flush=True), options.dry_run)
    if not (options.yes or options.dry_run) and sys.stdin.isatty() and (home / MARKER).exists() and not _agreed(home):
        return 1
    try:
        print(f"{'Looking at' if options.dry_run else 'Removing'} the dockerComp instance at {home}", flush=True)
        installed = sorted({entry.name for entry in removal.run()})
    except NotOursError as error:
        print(f"cleanup: {error}", file=sys.stderr)
        return 2
    _say_packages(removal, installed, options.packages)
    for problem in removal.problems:
        print(f"cleanup: {problem}", file=sys.stderr)
    if removal.problems:
        print(f"cleanup: {home} is kept until that is done; run this again", file=sys.stderr)
    return 1 if removal.problems else 0


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="cleanup",
        description="Take everything of this instance back: processes, services, containers, images, volumes and"
        " DC_HOME with its data and cache. Packages of the system's manager stay and are listed.",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--packages", action="store_true", help="also remove the system packages that we installed")
    parser.add_argument("--home", type=Path, metavar="DIR", help="the instance's DC_HOME (default: as configured)")
    return parser.parse_args(argv)


def _agreed(home: Path) -> bool:
    answer = input(f"Remove everything of dockerComp in {home}, jobs and results too? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _say_packages(removal: Removal, installed: list[str], remove: bool) -> None:
    if not installed:
        return
    if remove and not removal.dry_run and not removal.problems:
        kept = remove_packages(installed)
        print(f"packages: {kept}" if kept else f"removed the packages: {' '.join(installed)}")
    else:
        print(f"installed by us and left: {' '.join(installed)}")


if __name__ == "__main__":
    sys.exit(main())
