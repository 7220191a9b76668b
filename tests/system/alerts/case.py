"""A rule case: series of exporters over time, and the alerts that must fire, with every label.

The tables of `cases` are built from these classes, and `document` turns a case into a file for `promtool test rules`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from alerts.build import RULES
from tests.system.alerts.notation import series
from tests.system.alerts.timeline import SCRAPE, Exporter, Target


@dataclass(frozen=True)
class Fired:
    """An alert that must fire, by its labels."""

    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """`checks` are (second, alert, what fires then). `absent` are alerts that must not fire at any time."""

    name: str
    exporters: Sequence[Exporter]
    length: int
    checks: Sequence[tuple[int, str, Sequence[Fired]]] = ()
    absent: Sequence[str] = ()
    scrape: int = SCRAPE


def target_metric(exporter: Exporter, target: Target, **more: str) -> Fired:
    """An alert of a target. `more` are further labels, as `label_NAME`."""
    region = {} if target.region is None else {"region": target.region}
    return _fired({"target": target.name, "vault": target.vault, **_of_credential(exporter, target), **region}, more)


def of_credential(exporter: Exporter, target: Target, **more: str) -> Fired:
    """An alert of a credential, with the labels of one of the targets that use it."""
    return _fired(_of_credential(exporter, target), more)


def of_exporter(exporter: Exporter, **more: str) -> Fired:
    return _fired({"job": exporter.job, "instance": exporter.instance}, more)


def _of_credential(exporter: Exporter, target: Target) -> dict[str, str]:
    shared = {name: value for name, value in target.labels.items() if name in ("team", "env")}
    return {"credential": target.credential, **shared, "job": exporter.job, "instance": exporter.instance}


def _fired(labels: Mapping[str, str], more: Mapping[str, str]) -> Fired:
    return Fired({**labels, **{name.removeprefix("label_"): value for name, value in more.items()}})


def document(case: RuleCase, rules: str) -> dict[str, object]:
    """The file for promtool: which alerts fire, with all their labels. Their texts are compared once each (see `texts`)."""
    quiet = [(second, alert, ()) for alert in case.absent for second in range(0, case.length + 1, case.scrape * 4)]
    return _file(case, rules) | {
        "tests": [
            _inputs(case)
            | {
                "promql_expr_test": [
                    {
                        "expr": f'ALERTS{{alertstate="firing",alertname="{alert}"}}',
                        "eval_time": f"{second}s",
                        "exp_samples": [{"labels": _firing(alert, one), "value": 1} for one in fired],
                    }
                    for second, alert, fired in (*case.checks, *quiet)
                ]
            }
        ]
    }


def text_document(case: RuleCase, rules: str, checks: Sequence[tuple[int, str]]) -> dict[str, object]:
    """A file for promtool that expects nothing, so that promtool prints these alerts with their texts."""
    tests = [{"eval_time": f"{second}s", "alertname": alert, "exp_alerts": []} for second, alert in checks]
    return _file(case, rules) | {"tests": [_inputs(case) | {"alert_rule_test": tests}]}


def _file(case: RuleCase, rules: str) -> dict[str, object]:
    return {"rule_files": [rules], "evaluation_interval": f"{case.scrape}s", "group_eval_order": GROUPS}


def _inputs(case: RuleCase) -> dict[str, object]:
    return {"interval": f"{case.scrape}s", "input_series": series(case.exporters, case.length, case.scrape)}


_RULES = yaml.safe_load(RULES.read_text())["groups"]
GROUPS = [group["name"] for group in _RULES]
_LABELS = {rule["alert"]: rule["labels"] for group in _RULES for rule in group["rules"] if "alert" in rule}


def _firing(alert: str, fired: Fired) -> str:
    labels = {"__name__": "ALERTS", "alertname": alert, "alertstate": "firing", **_LABELS[alert], **fired.labels}
    return "{" + ", ".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
