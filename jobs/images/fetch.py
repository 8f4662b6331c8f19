"""Gets pictures out of the package scikit-image: python fetch.py FOLDER [NAME…], such as moon.png; without names all.

pictures.txt lists them with their SHA-256. What FOLDER has already is not fetched again. Standard library only; the
package comes through uv or pip, whichever is there, so that their settings for indexes, proxies and certificates hold.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent


class FetchError(Exception):
    """The pictures could not be had; says why."""


def known() -> dict[str, str]:
    """SHA-256 of each picture by its name."""
    return {name: digest for digest, name in map(str.split, (HERE / "pictures.txt").read_text().splitlines())}


def fetch(folder: Path, names: Sequence[str] = ()) -> Path:
    """`folder`, with these pictures in it, whole and checked. Raises FetchError."""
    wanted = known()
    if unknown := set(names) - wanted.keys():
        raise FetchError(f"there is no picture {min(unknown)}; there are: {', '.join(wanted)}")
    missing = [name for name in names or wanted if not _is_right(folder / name, wanted[name])]
    if not missing:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as work:
        _install(Path(work))
        for name in missing:
            found = Path(work) / "skimage" / "data" / name
            if not _is_right(found, wanted[name]):
                raise FetchError(f"the {name} in scikit-image is not the one that was expected: its SHA-256 differs")
            found.replace(folder / name)
    return folder


def _is_right(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _install(target: Path) -> None:
    command = [*_installer(), "--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11"]
    command += ["--target", str(target), "-r", str(HERE / "requirements.txt")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise FetchError(f"scikit-image could not be fetched from the package registry:\n{reason}")


def _installer() -> list[str]:
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--quiet"]
    if uv := shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"):
        return [uv, "pip", "install", "--quiet"]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    raise FetchError("neither uv nor pip is here; install one of them")


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(fetch(Path(sys.argv[1]), sys.argv[2:]))
    except (FetchError, OSError) as error:
        print(f"fetch.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
