"""The texts of every alert as Prometheus renders them, compared with the reviewed texts of texts.yml.

Each alert is rendered once, at the first moment at which a case expects it. After a change of words,
`python -m tests.system.alerts.texts` writes texts.yml again; review the difference.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from tests.support.values import replace
from tests.system.alerts.case import CaseBatch, RuleCase, batches, named
from tests.system.alerts.firing import bare_rules, evaluated

REVIEWED = Path(__file__).with_name("texts.yml")
_CHECK = re.compile(r"alertname: (\w+), time.*?\n(.*?)(?=\n    alertname: |\Z)", re.DOTALL)
_ALERT = re.compile(r"Labels:\{(.*)\},?\n +Annotations:\{(.*)\},?\n")
_ANNOTATION = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PERCENT = re.compile(r"[\d.]+(?=%)")
_SHOWN = ("summary", "description", "impact", "dashboard_url", "date", "sql_servers")
Texts = dict[str, dict[str, str]]


def rendered(cases: Sequence[RuleCase], place: Path) -> Texts:
    """Return the annotations by alert, of the first alert that fires in a case."""
    chosen: dict[str, tuple[str, int]] = {}
    prefixes = named(cases)
    for prefix, case in prefixes.items():
        for second, alert, fired in case.checks:
            if fired:
                chosen.setdefault(alert, (prefix, second))
    lengths = {prefix: max(second for one, second in chosen.values() if one == prefix) for prefix, _ in chosen.values()}
    runs = batches({prefix: replace(prefixes[prefix], length=length) for prefix, length in lengths.items()})
    outputs = evaluated(place, {run.name: _document(place, run, chosen) for run in runs})
    return dict(sorted(pair for run in runs for pair in _parsed(outputs[run.name], chosen)))


def _document(place: Path, run: CaseBatch, chosen: Mapping[str, tuple[str, int]]) -> dict[str, object]:
    """A file for promtool that expects nothing, so that promtool prints the chosen alerts with their texts."""
    due = {alert: second for alert, (prefix, second) in chosen.items() if prefix in run.cases}
    rules = place / f"{run.name}.rules.yml"
    groups = bare_rules(rules, kept=due)
    tests = [{"eval_time": f"{second}s", "alertname": alert, "exp_alerts": []} for alert, second in due.items()]
    return run.document(rules, groups, alert_rule_test=tests)


def _parsed(output: str, chosen: Mapping[str, tuple[str, int]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each alert with its texts, as they would be without the prefix of its case."""
    for name, body in _CHECK.findall(output):
        prefix, _ = chosen[name]
        got = next(
            texts for labels, texts in _ALERT.findall(body) if f'instance="{prefix}' in labels or "instance=" not in labels
        )
        annotations = {
            key: _PERCENT.sub(_rounded, value.encode().decode("unicode_escape").replace(prefix, ""))
            for key, value in _ANNOTATION.findall(got)
        }
        # Their order is that in which Prometheus has found the series.
        if servers := annotations.get("sql_servers"):
            annotations["sql_servers"] = ", ".join(sorted(servers.split(", ")))
        yield name, {key: annotations[key] for key in _SHOWN if key in annotations}


def _rounded(share: re.Match[str]) -> str:
    """Return a share with two digits: Prometheus 3 extrapolates less."""
    return f"{float(share[0]):.2g}"


def reviewed() -> Mapping[str, Mapping[str, str]]:
    return yaml.safe_load(REVIEWED.read_text())


if __name__ == "__main__":
    from tests.system.alerts.test_cases import CASES

    with tempfile.TemporaryDirectory() as folder:
        texts = rendered(list(CASES.values()), Path(folder))
    REVIEWED.write_text(yaml.safe_dump(texts, width=140, sort_keys=True, allow_unicode=True))
    sys.stdout.write(f"{len(texts)} alerts\n")
