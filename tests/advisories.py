"""Asks whether a locked package has a known hole: `python -m tests.advisories`, a part of tests/run.

pip-audit takes a package that it cannot look up for one without holes, so how many were looked up is counted here.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_S = 180
_EXPORT = (_ROOT / ".venv/bin/uv", "export", "--frozen", "--all-extras", "--all-groups", "--no-emit-project", "-q")


@dataclass(frozen=True)
class Verdict:
    """`failed`: a package has a known hole. `words` are for people."""

    failed: bool
    words: str


def judge(report: dict[str, Any]) -> Verdict:
    """From pip-audit's JSON. What could not be looked up is told and fails nothing: tests run without a network too."""
    packages = report.get("dependencies", [])
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {_mended(hole)}"
        for package in packages
        for hole in package.get("vulns", [])
    ]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    if holes:
        return Verdict(True, "\n".join(["KNOWN HOLES in locked packages: raise them in uv.lock", *holes]))
    if unknown or not packages:
        return Verdict(False, _not_checked(f"{len(unknown)} of {len(packages)} packages could not be looked up"))
    return Verdict(False, f"ok      pip-audit: {len(packages)} locked packages, none with a known hole")


def _mended(hole: dict[str, Any]) -> str:
    return ", ".join(hole["fix_versions"]) or "no version yet"


def _not_checked(why: str) -> str:
    return f"NOT CHECKED  pip-audit: {why}. The advisories at pypi.org are out of reach here"


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        locked, report = Path(folder, "locked.txt"), Path(folder, "report.json")
        subprocess.run([*_EXPORT, "--project", _ROOT, "--output-file", locked], check=True, stdout=subprocess.DEVNULL)
        audit = [sys.executable, "-m", "pip_audit", "-r", locked, "--require-hashes", "--disable-pip"]
        audit += ["--progress-spinner", "off", "--format", "json", "--output", report]
        try:
            said = subprocess.run(audit, capture_output=True, text=True, timeout=_PATIENCE_S, check=False).stderr
            found = judge(json.loads(report.read_bytes()))
        except (subprocess.TimeoutExpired, OSError, ValueError):  # no report: there was nobody to ask
            found = Verdict(False, _not_checked("it gave no report"))
            said = ""
        print(found.words, *(said.splitlines()[-3:] if found.failed else ()), sep="\n")
        return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(main())
