"""Write the alert rules and their page from the template: `python -m alerts.build`.

For: ekm.rules.yml, the same for Kubernetes and Azure, and docs/alerts.md; `--scale 60` prints the rules with all times divided, for tests.
Not for: the rules (see `ekm.rules.template.yml`), numbers and texts (see `values`), the page (see `page`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from alerts import azure, page
from alerts.values import DASHBOARDS, RUNBOOKS, Words, placeholders

HERE: Final = Path(__file__).parent
TEMPLATE: Final = HERE / "ekm.rules.template.yml"
RULES: Final = HERE / "ekm.rules.yml"
KUBERNETES: Final = HERE / "prometheus-rule.yaml"
AZURE: Final = HERE / "azure-rule-groups.json"
PAGE: Final = HERE.parent / "docs" / "alerts.md"

_WRITTEN: Final = "# Written by alerts/build.py from alerts/ekm.rules.template.yml: change it there.\n"
_MANIFEST: Final = """\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: ekm-exporter
  labels:
    app.kubernetes.io/name: ekm-exporter
    app.kubernetes.io/component: alerts
spec:
"""


def rules(scale: float = 1, *, runbooks: str = RUNBOOKS, dashboards: str = DASHBOARDS) -> str:
    """The rule file. Raises KeyError for a word of the template that `values` does not know."""
    words = placeholders(scale, runbooks=runbooks, dashboards=dashboards)
    return _WRITTEN + Words(TEMPLATE.read_text(encoding="utf-8")).substitute(words)


def prometheus_rule(text: str) -> str:
    """The same groups as a custom resource of the Prometheus operator."""
    head, groups = text.split("\ngroups:\n", 1)
    indented = "".join(f"  {line}" if line.strip() else line for line in f"groups:\n{groups}".splitlines(keepends=True))
    return f"{head}\n{_MANIFEST}{indented}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m alerts.build", description="Write the alert rules and their page again.")
    parser.add_argument("--scale", type=float, help="print the rules with all durations divided by this, and write nothing")
    parser.add_argument("--runbooks", default=RUNBOOKS, metavar="URL", help="where the runbooks are served")
    parser.add_argument("--dashboards", default=DASHBOARDS, metavar="URL", help="where the dashboards are served")
    asked = parser.parse_args(arguments)
    text = rules(asked.scale or 1, runbooks=asked.runbooks, dashboards=asked.dashboards)
    if asked.scale is not None:
        sys.stdout.write(text)
        return 0
    RULES.write_text(text, encoding="utf-8")
    KUBERNETES.write_text(prometheus_rule(text), encoding="utf-8")
    AZURE.write_text(azure.template(text), encoding="utf-8")
    PAGE.write_text(page.refreshed(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
