"""The shipped alerts that fire in stories: one promtool evaluates the series of all of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.integration.sqlservers.harness import Observed, Story
from tests.repo.deploy.rule_cases import FILE, GROUP_ORDER, RULES, promtool

STEP = 5  # minutes between two samples, and between two evaluations: three within the ten minutes that a reading counts
_FIRING = re.compile(r'\{__name__="ALERTS".*?\balertname="(\w+)"(.*?)\} 1E\+00')
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:0s)?")


def add_alerts(folder: Path, stories: Mapping[str, Story], observed: Mapping[str, Observed]) -> None:
    """Add which alerts fire at each reading, and their texts at the minutes that the story shows.

    No alert is expected, so promtool prints each one that fires.
    """
    path = folder / "tests.yml"
    known = {"rule_files": [str(FILE)], "group_eval_order": GROUP_ORDER, "evaluation_interval": f"{STEP}m"}
    path.write_text(json.dumps({**known, "tests": [_test(story, observed[name].samples) for name, story in stories.items()]}))
    for name, story in stories.items():
        observed[name].firing = {minute: [] for minute in _moments(story)}
    for name, problem in _problems(promtool("test", "rules", str(path))):
        _add(observed[name], problem)


def _moments(story: Story) -> list[int]:
    return [minute for minute in story.read if minute % STEP == 0]


def _test(story: Story, samples: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    last = [max(each for each in samples if each <= minute) for minute in range(0, max(samples) + 1, STEP)]
    series = dict.fromkeys(name for known in samples.values() for name in known)
    return {
        "name": story.name,
        "interval": f"{STEP}m",
        "input_series": [{"series": name, "values": _values(samples[minute].get(name) for minute in last)} for name in series],
        "promql_expr_test": [
            {"expr": 'ALERTS{alertstate="firing"}', "eval_time": f"{minute}m", "exp_samples": []} for minute in _moments(story)
        ],
        "alert_rule_test": [
            {"alertname": alert, "eval_time": f"{minute}m", "exp_alerts": []} for minute in story.shown for alert in RULES
        ],
    }


def _values(values: Iterable[float | None]) -> str:
    """Return values as promtool reads them; a series that ends is stale."""
    shown: list[str] = []
    for value in values:
        ended = bool(shown) and shown[-1] not in ("_", "stale")
        shown.append(("Inf" if value == math.inf else f"{value:.6f}") if value is not None else "stale" if ended else "_")
    return " ".join(shown)


def _problems(output: str) -> Iterator[tuple[str, str]]:
    """Yield the name of the story and the text of each expectation that does not hold."""
    assert ", err: " not in output, output
    head, *stories = re.split(r"    name: (\w+),\n", output)
    assert set(head.split()[4:]) <= {"FAILED:", "SUCCESS"}, output  # after the exit code and the name of the file
    for name, text in zip(stories[::2], stories[1::2], strict=True):
        yield from ((name, problem) for problem in re.split(r"\n(?=    (?:alertname|expr):)", text))


def _add(observed: Observed, problem: str) -> None:
    got = problem.partition("got:")[2]
    if found := re.search(r'expr: "ALERTS.*", time: (\S+),', problem):
        observed.firing[_minute(found[1])] = _FIRING.findall(got)
    elif found := re.search(r"alertname: (\w+), time: (\S+),", problem):
        observed.texts[_minute(found[2]), found[1]] = re.sub(r"\s+", " ", got)


def _minute(duration: str) -> int:
    found = _DURATION.fullmatch(duration)
    assert found is not None, duration
    days, hours, minutes = (int(each or 0) for each in found.groups())
    return minutes + 60 * (hours + 24 * days)
