"""What Artifact Hub shows of the chart: changes, image and links, as annotations of its `Chart.yaml`.

`deploy/assets.py` adds them when it packs the chart. The release workflow replaces OWNER with the account that publishes.
"""

import re
from typing import Any

import yaml

REPOSITORY = "OWNER/ekm-exporter"
# The kinds of the changelog, and those of Artifact Hub.
_KINDS = {"CHANGE": "changed", "FEATURE": "added", "ENHANCEMENT": "changed", "BUGFIX": "fixed"}
_CHANGE = re.compile(r"^- \[([A-Z]+)\] (.+)$", re.MULTILINE)
_LINK = re.compile(r" ?\[[^\]]*\]\([^)]*\)")


def changes(changelog: str, version: str) -> list[dict[str, str]]:
    """Return the lines of a version, without the links to documents."""
    section = changelog.partition(f"\n## {version} / ")[2].partition("\n## ")[0]
    return [{"kind": _KINDS[kind], "description": _LINK.sub("", text)} for kind, text in _CHANGE.findall(section)]


def annotations(changelog: str, version: str) -> dict[str, str]:
    """Return the annotations of a version; a value is YAML in a text."""
    source = f"https://github.com/{REPOSITORY}"
    values: dict[str, list[dict[str, Any]]] = {
        "changes": changes(changelog, version),
        "images": [{"name": "ekm-exporter", "image": f"ghcr.io/{REPOSITORY}:{version}"}],
        "links": [
            {"name": "source", "url": source},
            {"name": "documentation", "url": f"{source}/blob/v{version}/docs/install.md#kubernetes"},
            {"name": "support", "url": f"{source}/issues"},
        ],
    }
    return {f"artifacthub.io/{name}": yaml.safe_dump(value, sort_keys=False, width=1000) for name, value in values.items()}


def annotated(chart: str, changelog: str, version: str) -> str:
    """Return a `Chart.yaml`, whose last key is `annotations`, with the annotations of a version."""
    added = yaml.safe_dump(annotations(changelog, version), sort_keys=False, default_style="|", width=1000)
    return chart.rstrip("\n") + "\n" + "".join(f"  {line}\n" for line in added.splitlines())
