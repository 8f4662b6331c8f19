"""What volunteers install from the master itself: the worker's wheel, its locked requirements, and their checksums."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dockercomp import __version__

_ROOT = Path(__file__).resolve().parents[1]
_SOURCES = ("dockercomp", "worker", "pyproject.toml", "uv.lock")


class PackagingError(RuntimeError):
    """The worker's package could not be built; the message has the tool's own words."""


def build(home: Path) -> Path:
    """Build DC_HOME/cache/worker (wheel, requirements.txt, wheel.json), unless it is of these sources already."""
    target = home / "cache" / "worker"
    revision = _revision()
    described = target / "wheel.json"
    if described.exists() and json.loads(described.read_text()).get("revision") == revision:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch) / "worker"
        made.mkdir()
        _run(sys.executable, "-m", "worker.runner.build")
        _run(_uv(), "build", "--wheel", "--quiet", "--out-dir", str(made), str(_ROOT))
        wheel = next(made.glob("*.whl"))
        export = ("export", "--frozen", "--quiet", "--extra", "worker", "--no-dev", "--no-emit-project", "--no-header")
        (made / "requirements.txt").write_text(_run(_uv(), *export, "--project", str(_ROOT)))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        facts = {"filename": wheel.name, "sha256": digest, "version": __version__, "revision": revision}
        (made / "wheel.json").write_text(json.dumps(facts))
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
    return target


def _revision() -> str:
    """A digest of everything that goes into the wheel."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        path = _ROOT / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts and "bin" not in file.parts:
                digest.update(str(file.relative_to(_ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else "uv"


def _run(*argv: str) -> str:
    done = subprocess.run(
        argv, cwd=_ROOT, capture_output=True, text=True, check=False, env={**os.environ, "UV_NO_PROGRESS": "1"}
    )
    if done.returncode:
        raise PackagingError(f"`{' '.join(argv)}` failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout
