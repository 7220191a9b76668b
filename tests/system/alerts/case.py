"""A rule case: series of exporters over time, and the alerts that must fire, with every label.

The tables of `cases` are built from these classes. `batches` puts many cases into few runs of `promtool test rules`,
where an evaluation costs the same for one case as for ten, and `differences` compares a case with what fired.
"""

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from alerts.build import RULES
from tests.system.alerts.firing import Alert, Batch, Spans, spans_of_each
from tests.system.alerts.notation import Series, series
from tests.system.alerts.timeline import Exporter, Target

LENGTHS = (35, 62, 150)  # evaluations: runs of cases that are shorter than each of these, and of longer ones


@dataclass(frozen=True)
class Fired:
    """An alert that must fire, by its labels."""

    labels: Mapping[str, str]


Check = tuple[int, str, Sequence[Fired]]


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """`checks` are (second, alert, what fires then). `absent` are alerts that must not fire at any time.

    `apart`: its alerts are about all exporters together, so that other exporters would change them.
    """

    name: str
    exporters: Sequence[Exporter]
    length: int
    checks: Sequence[Check] = ()
    absent: Sequence[str] = ()
    scrape: int = 60
    apart: bool = False


def at(alert: str, fires: Mapping[float, Sequence[Fired]]) -> list[Check]:
    """Return checks of what fires at these minutes."""
    return [(round(60 * minute), alert, fired) for minute, fired in fires.items()]


def during(alert: str, fired: Sequence[Fired], *minutes: int) -> list[Check]:
    """Return checks that this fires at each minute of a range."""
    return [(60 * minute, alert, fired) for minute in range(*minutes)]


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


@dataclass(frozen=True)
class CaseBatch(Batch):
    """A run of many cases, by their prefixes."""

    cases: Sequence[str]


def named(cases: Iterable[RuleCase]) -> dict[str, RuleCase]:
    """Return the cases by the prefix of their instances and vaults, which no other case of a run has."""
    return {f"case{number:02}-": case for number, case in enumerate(cases)}


def batches(cases: Mapping[str, RuleCase]) -> list[CaseBatch]:
    """The runs for the cases. A short case is in no run of a much longer one, which evaluates its series to the end."""
    runs: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    for prefix, case in cases.items():
        runs[case.scrape, bisect(LENGTHS, case.length // case.scrape), prefix if case.apart else ""].append(prefix)
    return [
        CaseBatch(
            name=f"{prefixes[0]}and-{len(prefixes) - 1}",
            series=[one for prefix in prefixes for one in prefixed(cases[prefix], prefix)],
            length=max(cases[prefix].length for prefix in prefixes),
            scrape=cases[prefixes[0]].scrape,
            cases=prefixes,
        )
        for prefixes in runs.values()
    ]


def prefixed(case: RuleCase, prefix: str) -> list[Series]:
    return [
        {**one, "series": re.sub(r'\b(?:instance|vault)="', rf"\g<0>{prefix}", one["series"])}
        for one in series(case.exporters, case.length, case.scrape)
    ]


def spans_by_case(place: Path, cases: Mapping[str, RuleCase], *files: Path) -> dict[str, Spans]:
    """Return for each case what fires in its run, by the shipped rules and the rules of further files."""
    runs = batches(cases)
    found = spans_of_each(place, runs, *files)
    return {prefix: found[run.name] for run in runs for prefix in run.cases}


def differences(case: RuleCase, prefix: str, spans: Spans) -> Iterator[str]:
    """Yield what fires otherwise than the case expects. Alerts without an instance are about every case of a run."""
    own = {
        frozenset((name, value.removeprefix(prefix)) for name, value in alert): periods
        for alert, periods in spans.items()
        if dict(alert).get("instance", prefix).startswith(prefix)
    }
    for second, alert, fired in case.checks:
        found = {one for one, periods in own.items() if ("alertname", alert) in one and _is_at(periods, second)}
        if found != (expected := {firing(alert, one) for one in fired}):
            yield f"{second} s, {alert}: {_shown(found)} fires instead of {_shown(expected)}"
    for one, periods in own.items():
        if dict(one)["alertname"] in case.absent and periods[0][0] <= case.length:
            yield f"{periods[0][0]} s: {_shown([one])} fires"


def _is_at(periods: Iterable[tuple[int, int]], second: int) -> bool:
    return any(begin <= second < end for begin, end in periods)


def _shown(alerts: Iterable[Alert]) -> str:
    return " and ".join(str(dict(sorted(alert))) for alert in alerts) or "nothing"


_RULES = yaml.safe_load(RULES.read_text())["groups"]
_LABELS = {rule["alert"]: rule["labels"] for group in _RULES for rule in group["rules"] if "alert" in rule}


def firing(alert: str, fired: Fired) -> Alert:
    """Return the alert with all labels, its name and those of its rule included."""
    labels = {"alertname": alert, **_LABELS.get(alert, {}), **fired.labels}
    return frozenset((name, value) for name, value in labels.items() if value)
