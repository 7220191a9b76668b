"""Copy the files of a release, except the wheel, into a folder.

`python deploy/assets.py FOLDER` copies files of the checkout that an installation needs, and packs the chart and the starter. The same source gives
the same bytes. It needs Helm's library, which `./dev tools` fetches. `./dev build` makes the wheel, the bill of materials and the checksums.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import artifacthub
import helm_python
import starter_archive

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "ekm-exporter"
FILES = (
    "requirements.lock",
    "deploy/systemd/ekm-exporter.service",
    "deploy/systemd/ekm-exporter@.service",
    "deploy/systemd/ekm-exporter.target",
    "alerts/ekm.rules.yml",
    "alerts/ekm-sql.rules.yml",
    "alerts/ekm-native.rules.yml",
    "docs/ekm.schema.json",
)
BORN = 1580601600  # 2020-02-02, the time that hatchling gives the files of the wheel; Helm writes times into its archive


def gather(out: Path, root: Path = ROOT) -> None:
    """Copy the files into the existing folder `out`, and pack the chart and the starter."""
    for name in FILES:
        shutil.copy(root / name, out)
    starter_archive.pack(out, root, _version(root), BORN)
    with tempfile.TemporaryDirectory() as place:
        copied = Path(shutil.copytree(root / CHART.relative_to(ROOT), Path(place) / CHART.name))  # targets of links, not links
        about = copied / "Chart.yaml"
        changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
        chart = artifacthub.annotated(about.read_text(encoding="utf-8"), changelog, _version(root))
        about.write_text(chart, encoding="utf-8", newline="\n")
        for path in copied.rglob("*"):
            os.utime(path, (BORN, BORN))
        helm_python.package(str(copied), destination=str(out))


def _version(root: Path) -> str:
    """Return the version that the chart declares; a test compares it with that of the exporter."""
    return re.findall(
        r"^version: (\S+)", (root / CHART.relative_to(ROOT) / "Chart.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )[0]


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
