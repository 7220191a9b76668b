"""When each alert fires: `promtool` evaluates the rules and prints each alert that its file does not expect.

A few runs give the whole time line of every alert of many scenarios.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from alerts.build import RULES
from tests.system.alerts.notation import series
from tests.system.alerts.timeline import Exporter

FIRING = 'ALERTS{alertstate="firing"}'
_BLOCK = re.compile(r"time: (\S+),\n +exp: nil\n +got: (.+)$", re.MULTILINE)
_SERIES = re.compile(r"\{([^{}]*)\} 1E\+00")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_UNITS = {"h": 3600, "m": 60, "s": 1}

Alert = frozenset[tuple[str, str]]
Spans = dict[Alert, list[tuple[int, int]]]  # in seconds; the end is the first evaluation without the alert


@dataclass(frozen=True)
class Batch:
    """Exporters that are evaluated in one run: each scenario has its own, so they do not touch each other."""

    name: str
    exporters: Sequence[Exporter]
    length: int
    scrape: int


def spans(place: Path, batches: Sequence[Batch], processes: int = 2) -> Spans:
    """The firing spans of all batches."""
    rules = place / "rules.yml"
    groups = _bare_rules(rules)
    for batch in batches:
        text = yaml.dump(_document(rules, groups, batch), Dumper=yaml.CSafeDumper, width=10**6)
        (place / f"{batch.name}.yml").write_text(text)
    found: Spans = {}
    with ThreadPoolExecutor(processes) as pool:
        for output, batch in zip(pool.map(_run, (place / f"{batch.name}.yml" for batch in batches)), batches, strict=True):
            found |= _parsed(output, batch)
    return found


def _bare_rules(path: Path) -> list[str]:
    """The shipped rules without their texts, whose queries would take most of the time."""
    document: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    path.write_text(yaml.dump(document, Dumper=yaml.CSafeDumper, width=10**6))
    return [group["name"] for group in document["groups"]]


def _document(rules: Path, groups: Sequence[str], batch: Batch) -> dict[str, object]:
    """A test file that expects no alert to begin or end, ever."""
    step = f"{batch.scrape}s"
    begins, ends = f"{FIRING} unless {FIRING} offset {step}", f"({FIRING} offset {step}) unless {FIRING}"
    checks = [
        {"expr": expr, "eval_time": f"{now}s", "exp_samples": []}
        for now in range(0, batch.length + 1, batch.scrape)
        for expr in (begins, ends)
    ]
    return {
        "rule_files": [str(rules)],
        "evaluation_interval": step,
        "group_eval_order": list(groups),
        "tests": [
            {
                "interval": step,
                "input_series": series(batch.exporters, batch.length, batch.scrape),
                "promql_expr_test": checks,
            }
        ],
    }


def _run(path: Path) -> str:
    command = ["promtool", "test", "rules", path]
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, **both, text=True, check=False, timeout=900)  # type: ignore[call-overload] # noqa: S603 - files of this project
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
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text))
