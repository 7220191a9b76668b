"""Draws dashboards in Chromium with Grafana's own Apache-licensed packages, from a Prometheus that holds the stories.

For: the pictures in docs/images (`python -m tests.system.dashboards.draw.pictures docs/images`), and the test that every panel is drawn.
Not for: proving that a Grafana server takes the files; what stands in for parts of it is named in plugins.jsx and scene.jsx.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.system.dashboards.boards import BOARDS
from tests.system.dashboards.recorded_history import MINUTES, TROUBLED_ENDS

SOURCES = Path(__file__).parent
WORKSHOP = SOURCES.parents[3] / ".cache" / "draw"
COLORS = "128"
# The pictures that the documentation shows: file, dashboard, what is chosen.
SHOWN = (
    ("fleet.png", "ekm-fleet", {}),
    ("vault.png", "ekm-vault", {"target": "payroll-runs"}),
    ("expiry.png", "ekm-expiry", {}),
)


@dataclass(frozen=True)
class Drawn:
    """What the page said: `title` is "drawn", or why not; `text` is what people read on it."""

    title: str
    text: str
    said: list[str]


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=WORKSHOP, capture_output=True, text=True, check=False, timeout=600)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stdout}{done.stderr}")
    return done.stdout


def prepare() -> None:
    """The packages as the lock has them, and the page in one file. What is there already is not fetched again."""
    WORKSHOP.mkdir(parents=True, exist_ok=True)
    lock = (SOURCES / "package-lock.json").read_text()
    stamp = WORKSHOP / "installed"
    for path in [*SOURCES.glob("*.js*"), *SOURCES.glob("*.mjs")]:
        shutil.copy(path, WORKSHOP)
    if not stamp.exists() or stamp.read_text() != lock:
        _run("npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        stamp.write_text(lock)
    _run("node", "bundle.mjs", WORKSHOP / "bundle.js")


def draw(uid: str, url: str, picture: Path, **chosen: str) -> Drawn:
    """One dashboard over the two hours of the bad day; `url` is that of the Prometheus. `prepare` comes first."""
    wanted = {"dashboard": BOARDS[uid], "url": url, "to": TROUBLED_ENDS, "step": 60, "chosen": chosen}
    wanted["from"] = TROUBLED_ENDS - (MINUTES - 1) * 60
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(wanted, file)
        file.flush()
        chromium = shutil.which("chromium") or "chromium"
        return Drawn(**json.loads(_run("node", "shoot.mjs", file.name, "bundle.js", picture.absolute(), chromium)))


def main(place: Path) -> None:
    from tests.system.dashboards.conftest import serving  # noqa: PLC0415 - needs a Prometheus, which the test has already

    prepare()
    with tempfile.TemporaryDirectory() as history, serving(Path(history)) as prometheus:
        for name, uid, chosen in SHOWN:
            picture = place / name
            drawn = draw(uid, prometheus.url, picture, **chosen)
            _run("pngquant", "--force", "--strip", "--speed", "1", "--output", picture.absolute(), COLORS, picture.absolute())
            print(f"{picture}: {drawn.title}")  # noqa: T201 - says what it did


if __name__ == "__main__":
    main(Path(sys.argv[1]))
