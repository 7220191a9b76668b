"""Pack the starter: Prometheus, Alertmanager and their services for one host. docs/production.md, Without Prometheus, unpacks it.

The same source gives the same bytes.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

# The path in the archive, and the source.
FILES = {
    "prometheus.yml": "deploy/starter/prometheus.yml",
    "alertmanager.yml": "deploy/starter/alertmanager.yml",
    "ekm.rules.yml": "alerts/ekm.rules.yml",
    "ekm-sql.rules.yml": "alerts/ekm-sql.rules.yml",
    "templates/ekm.tmpl": "alerts/templates/ekm.tmpl",
    "templates/starter.tmpl": "deploy/starter/starter.tmpl",
    "ekm-prometheus.service": "deploy/starter/ekm-prometheus.service",
    "ekm-alertmanager.service": "deploy/starter/ekm-alertmanager.service",
    "ekm-prometheus.xml": "deploy/starter/ekm-prometheus.xml",
    "ekm-alertmanager.xml": "deploy/starter/ekm-alertmanager.xml",
}


def pack(out: Path, root: Path, version: str, born: int) -> Path:
    """Write ekm-starter-VERSION.tar.gz into the folder `out`. `born` is the time of every file, in seconds since 1970."""
    name = f"ekm-starter-{version}"
    runbooks = {
        f"runbooks/{path.name}": path.relative_to(root).as_posix() for path in (root / "alerts" / "runbooks").glob("*.md")
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for place, source in sorted((FILES | runbooks).items()):
            content = (root / source).read_bytes()
            entry = tarfile.TarInfo(f"{name}/{place}")
            entry.size, entry.mtime, entry.mode = len(content), born, 0o644
            tar.addfile(entry, io.BytesIO(content))
    path = out / f"{name}.tar.gz"
    with path.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=born) as packed:
        packed.write(archive.getvalue())
    return path
