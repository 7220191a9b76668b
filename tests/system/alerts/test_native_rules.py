"""The alert on latency for native histograms: promtool fires it as its classic counterpart, and only one of the two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from alerts import build
from tests.system.alerts.case import RuleCase, differences, named, spans_by_case, target_metric
from tests.system.alerts.cases.tickets import CASES
from tests.system.alerts.queries import rule_queries, selectors
from tests.system.alerts.timeline import OK, Exporter, Target

NAME, MINUTE = "EkmLatencyHigh", 60
(GROUP,) = yaml.safe_load(build.NATIVE.read_text())["groups"]
(NATIVE,) = GROUP["rules"]
RULES = [rule for group in yaml.safe_load(build.RULES.read_text())["groups"] for rule in group["rules"]]
(CLASSIC,) = (rule for rule in RULES if rule.get("alert") == NAME)
# Whole octaves: `fast` steps are in the bucket up to 1 s, which includes it, `slow` ones in the one from 2 s to 4 s.
EACH_MINUTE = "{{{{schema:0 count:{count} sum:{count} buckets:[{fast} 0 {slow}]}}}}"
STEPS = 20


def natively(name: str, slow: int, **more: str) -> Target:
    """A target with 20 steps a minute; in the first hour, `slow` of them are slow."""

    def grown(minutes: int, *, fast: int = 0, slow: int = 0) -> str:
        each = EACH_MINUTE.format(count=fast + slow, fast=fast, slow=slow)
        return f"{each}+{each}x{minutes}"

    series = 'ekm_step_duration_seconds{step="%s"}'
    steps = {series % "get_key": grown(200, fast=STEPS - slow), series % "wrap_key": grown(60, slow=slow)}
    return Target(
        name=name, probes=[OK] * 200, more={**(steps if slow else {series % "get_key": grown(200, fast=STEPS)}), **more}
    )


def failures(place: Path, *cases: RuleCase) -> list[list[str]]:
    """Return for each case what fires otherwise than expected under both rule files."""
    prefixed = named(cases)
    spans = spans_by_case(place, prefixed, build.NATIVE)
    return [list(differences(case, prefix, spans[prefix])) for prefix, case in prefixed.items()]


def slow_case(*targets: Target, fires: tuple[Target, ...]) -> RuleCase:
    exporter = Exporter(targets=list(targets))
    fired = [target_metric(exporter, target) for target in fires]
    checks = [(10 * MINUTE, NAME, []), (60 * MINUTE, NAME, fired), (190 * MINUTE, NAME, [])]
    return RuleCase(name="slow responses", exporters=[exporter], length=190 * MINUTE, checks=checks, scrape=60)


@pytest.mark.real
def test_native_and_classic_histograms_fire_alike_but_not_both(tmp_path):
    """A tenth of slow steps is the limit. A target with classic buckets does not fire for its native histogram."""
    slow, few, fast = natively("slow", 5), natively("few", 1), natively("fast", 0)
    of_both = natively("both", 5, **{'ekm_step_duration_seconds_count{step="get_key"}': f"0+{STEPS}x200"})
    (classic,) = (each for each in CASES if each.name == "slow responses")
    cases = [
        slow_case(slow, few, fast, fires=(slow,)),
        slow_case(of_both, fires=()),
        slow_case(of_both, fires=(of_both,)),
        classic,
    ]

    native, silent, wrong, unchanged = failures(tmp_path, *cases)

    assert (native, silent, unchanged) == ([], [], [])
    assert "both" in wrong[0]


def test_alert_has_the_name_labels_times_and_links_of_the_classic_one():
    for part in ("alert", "for", "keep_firing_for", "labels"):
        assert NATIVE[part] == CLASSIC[part]
    for text in ("summary", "runbook_url", "dashboard_url"):
        assert NATIVE["annotations"][text] == CLASSIC["annotations"][text]
    assert NATIVE["annotations"].keys() == CLASSIC["annotations"].keys()


def test_committed_file_equals_the_generated_one():
    assert build.NATIVE.read_text() == build.rules(template=build.NATIVE_TEMPLATE)


def test_no_other_alert_needs_a_histogram():
    using = {
        rule.get("alert") or rule["record"]
        for rule in RULES
        for query in rule_queries(rule)
        for selector in selectors(query)
        if re.search(r"_(bucket|count|sum)$", selector.name or "")
    }
    assert using == {NAME}
