"""Install Grafana's packages that draw dashboards, as locked, into `.cache/draw`: part of the installation, and so no part of a test.

`python -m tests.system.dashboards.draw.packages` does nothing if they are installed already.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
WORKSHOP = SOURCES.parents[3] / ".cache" / "draw"


def run(*command: str | Path) -> str:
    """Run a command in the workshop and return its output. Raises RuntimeError with all of it."""
    done = subprocess.run(command, cwd=WORKSHOP, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 - a command of this folder
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stdout}{done.stderr}")
    return done.stdout


def install() -> None:
    """Install the locked packages, unless they are installed already."""
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    lock, stamp = (SOURCES / "package-lock.json").read_text(), WORKSHOP / "installed"
    if stamp.exists() and stamp.read_text() == lock:
        return
    for path in SOURCES.glob("package*.json"):
        shutil.copy(path, WORKSHOP)
    run("npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(lock)


if __name__ == "__main__":
    install()
