"""What a release has beside the wheel: `python deploy/assets.py FOLDER` puts it there. It needs Helm's library, which `./dev tools` fetches.

For: files of the checkout that an installation needs, and the chart as one archive; the same source gives the same bytes.
Not for: the wheel, the bill of materials and the sums (see `./dev build`).
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import helm_python

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "ekm-exporter"
FILES = (
    "requirements.lock",
    "deploy/systemd/ekm-exporter.service",
    "deploy/windows/ekm-exporter.xml",
    "alerts/ekm.rules.yml",
)
BORN = 1580601600  # 2020-02-02: Helm writes the times of files into its archive; hatchling gives this one to those of the wheel


def gather(out: Path, root: Path = ROOT) -> None:
    """Copies the files into `out`, which exists, and packs the chart."""
    for name in FILES:
        shutil.copy(root / name, out)
    with tempfile.TemporaryDirectory() as place:
        copied = Path(shutil.copytree(root / CHART.relative_to(ROOT), Path(place) / CHART.name))  # what links lead to, not links
        for path in copied.rglob("*"):
            os.utime(path, (BORN, BORN))
        helm_python.package(str(copied), destination=str(out))


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
