"""Draw dashboards in Chromium with Grafana's own Apache-licensed packages, from a Prometheus with the recorded histories.

`python -m tests.system.dashboards.draw.pictures docs/images` draws the pictures of the documentation. No Grafana server is involved:
plugins.jsx and scene.jsx name the replacements of its parts.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.system.dashboards.boards import BOARDS
from tests.system.dashboards.draw.packages import SOURCES, WORKSHOP, install, run
from tests.system.dashboards.recorded_history import MINUTES, TROUBLED_ENDS

COLORS = "128"
# The pictures of the documentation: file, dashboard, values of variables.
SHOWN = (
    ("fleet.png", "ekm-fleet", {}),
    ("vault.png", "ekm-vault", {"target": "payroll-runs"}),
    ("expiry.png", "ekm-expiry", {}),
)


@dataclass(frozen=True)
class Drawn:
    """The drawn page: `title` is "drawn" or the error, `text` its visible text, `messages` its logged errors."""

    title: str
    text: str
    messages: list[str]


def prepare() -> None:
    """Install the packages if they are missing, and bundle the page."""
    install()
    for path in [*SOURCES.glob("*.js*"), *SOURCES.glob("*.mjs")]:
        shutil.copy(path, WORKSHOP)
    run("node", "bundle.mjs", WORKSHOP / "bundle.js")


@dataclass(frozen=True)
class Order:
    """A dashboard with values of its variables, and the file of its picture."""

    uid: str
    chosen: dict[str, str]
    picture: Path | None = None

    def wanted(self, url: str) -> dict[str, Any]:
        hours = {"from": TROUBLED_ENDS - (MINUTES - 1) * 60, "to": TROUBLED_ENDS, "step": 60}
        picture = self.picture and str(self.picture.absolute())
        return {"dashboard": BOARDS[self.uid], "url": url, "chosen": self.chosen, "picture": picture, **hours}


def draw(url: str, orders: Iterable[Order]) -> list[Drawn]:
    """Draw dashboards over the two hours of the bad day from the Prometheus at `url`. Needs `prepare`."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump([order.wanted(url) for order in orders], file)
        file.flush()
        chromium = shutil.which("chromium") or "chromium"
        return [Drawn(**one) for one in json.loads(run("node", "shoot.mjs", file.name, "bundle.js", chromium))]


def main(place: Path) -> None:
    from tests.system.dashboards.conftest import serving  # noqa: PLC0415 - only this needs a Prometheus of its own

    prepare()
    with tempfile.TemporaryDirectory() as history, serving(Path(history)) as prometheus:
        orders = [Order(uid, chosen, place / name) for name, uid, chosen in SHOWN]
        for order, drawn in zip(orders, draw(prometheus.url, orders), strict=True):
            picture = place.absolute() / order.picture.name
            run("pngquant", "--force", "--strip", "--speed", "1", "--output", picture, COLORS, picture)
            print(f"{picture}: {drawn.title}")  # noqa: T201 - a command's output


if __name__ == "__main__":
    main(Path(sys.argv[1]))
