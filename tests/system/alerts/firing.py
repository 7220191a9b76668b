"""When each alert fires: `promtool` evaluates the rules and prints each alert that its file does not expect.

A few runs give the whole time line of every alert of many scenarios.
"""

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alerts.build import RULES
from tests.support.patience import PROGRAM_SECONDS
from tests.system.alerts.notation import Series, series
from tests.system.alerts.timeline import Exporter

PROCESSES = 2
FIRING = 'ALERTS{alertstate="firing"}'
_BLOCK = re.compile(r"time: (\S+),\n +exp: nil\n +got: (.+)$", re.MULTILINE)
_SERIES = re.compile(r"\{([^{}]*)\} 1E\+00")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}

Alert = frozenset[tuple[str, str]]
Spans = dict[Alert, list[tuple[int, int]]]  # in seconds; the end is the first evaluation without the alert


@dataclass(frozen=True)
class Batch:
    """Series that are evaluated in one run: each scenario has its own exporters, so they do not touch each other."""

    name: str
    series: Sequence[Series]
    length: int
    scrape: int

    def document(self, rules: Path, groups: Sequence[str], **tests: object) -> dict[str, object]:
        """The file for promtool, with these tests."""
        step = f"{self.scrape}s"
        inputs = {"interval": step, "input_series": self.series}
        return {
            "rule_files": [str(rules)],
            "evaluation_interval": step,
            "group_eval_order": list(groups),
            "tests": [inputs | tests],
        }


def fleet(name: str, exporters: Sequence[Exporter], length: int, scrape: int) -> Batch:
    """The batch of exporters that all exist for its whole length."""
    return Batch(name, series(exporters, length, scrape), length, scrape)


def spans(place: Path, batches: Sequence[Batch], *files: Path) -> Spans:
    """The firing spans of all batches, by the shipped rules and the rules of further files."""
    return {alert: periods for found in spans_of_each(place, batches, *files).values() for alert, periods in found.items()}


def spans_of_each(place: Path, batches: Sequence[Batch], *files: Path) -> dict[str, Spans]:
    """The firing spans by the name of the batch."""
    rules = place / "rules.yml"
    groups = bare_rules(rules, [RULES, *files])
    documents = {one.name: one.document(rules, groups, promql_expr_test=_checks(one)) for one in batches}
    outputs = evaluated(place, documents)
    return {batch.name: _parsed(outputs[batch.name], batch) for batch in batches}


def evaluated(place: Path, documents: dict[str, dict[str, object]]) -> dict[str, str]:
    """Return what promtool prints about each document, by its name. Each of them expects something wrong."""
    for name, document in documents.items():
        (place / f"{name}.yml").write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, width=10**6))
    with ThreadPoolExecutor(PROCESSES) as pool:
        return dict(zip(documents, pool.map(_run, (place / f"{name}.yml" for name in documents)), strict=True))


def bare_rules(path: Path, files: Sequence[Path] = (RULES,), kept: Container[str] = ()) -> list[str]:
    """Write the rules without their texts, whose queries take time, but with those of `kept` alerts. Return the groups."""
    groups: list[dict[str, Any]] = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    for rule in (rule for group in groups for rule in group["rules"]):
        if rule.get("alert") not in kept:
            rule.pop("annotations", None)
    path.write_text(yaml.dump({"groups": groups}, Dumper=yaml.CSafeDumper, width=10**6))
    return [group["name"] for group in groups]


def _checks(batch: Batch) -> list[dict[str, object]]:
    """Tests that expect no alert to begin or end, ever."""
    step = f"{batch.scrape}s"
    begins, ends = f"{FIRING} unless {FIRING} offset {step}", f"({FIRING} offset {step}) unless {FIRING}"
    return [
        {"expr": expr, "eval_time": f"{now}s", "exp_samples": []}
        for now in range(0, batch.length + 1, batch.scrape)
        for expr in (begins, ends)
    ]


def _run(path: Path) -> str:
    """A collection of garbage at each doubling would take a quarter of the processor time."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "env": os.environ | {"GOGC": "800"}}
    done = subprocess.run(["promtool", "test", "rules", path], **both, text=True, check=False, timeout=PROGRAM_SECONDS)  # type: ignore[call-overload] # noqa: S603, S607 - files of this project
    output: str = done.stdout
    assert "many-to-many" not in output, output[:2000]
    assert "FAILED" in output, output[:2000]  # the watchdog alone is unexpected
    return output


def _parsed(output: str, batch: Batch) -> Spans:
    found: Spans = defaultdict(list)
    for begins, time, alerts in _blocks(output):
        for alert in alerts:
            if begins:
                found[alert].append((time, batch.length + batch.scrape))
            elif found[alert]:
                found[alert][-1] = (found[alert][-1][0], time)
    return dict(found)


def _blocks(output: str) -> Iterator[tuple[bool, int, list[Alert]]]:
    """Whether alerts begin or end, when, and which; all begins come before all ends of the same time."""
    blocks = []
    for part in output.split("    expr: ")[1:]:
        block = _BLOCK.search(part)
        assert block, part
        blocks.append((_seconds(block[1]), part.startswith('"ALERTS'), _alerts(block[2])))
    for time, begins, alerts in sorted(blocks, key=lambda one: (one[0], one[1])):
        yield begins, time, alerts


def _alerts(got: str) -> list[Alert]:
    return [
        frozenset((name, value) for name, value in _LABEL.findall(labels) if name not in ("__name__", "alertstate"))
        for labels in _SERIES.findall(got)
    ]


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", text))
