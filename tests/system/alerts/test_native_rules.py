"""The alert on latency for native histograms: promtool fires it as its classic counterpart, and only one of the two."""

from __future__ import annotations

import re

import pytest
import yaml

from alerts import build
from tests.system.alerts.case import GROUPS, RuleCase, document, target_metric
from tests.system.alerts.cases.tickets import CASES
from tests.system.alerts.promtool import results
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


def failures(case: RuleCase, place) -> str:
    """Return what promtool finds wrong with a case under both rule files."""
    file = document(case, str(build.RULES)) | {
        "rule_files": [str(build.RULES), str(build.NATIVE)],
        "group_eval_order": [*GROUPS, GROUP["name"]],
    }
    (place / "case.yml").write_text(yaml.safe_dump(file, width=10**6))
    (result,) = results([place / "case.yml"]).values()
    return result


def slow_case(*targets: Target, fires: tuple[Target, ...]) -> RuleCase:
    exporter = Exporter(targets=list(targets))
    fired = [target_metric(exporter, target) for target in fires]
    checks = [(10 * MINUTE, NAME, []), (60 * MINUTE, NAME, fired), (190 * MINUTE, NAME, [])]
    return RuleCase(name="slow responses", exporters=[exporter], length=190 * MINUTE, checks=checks, scrape=60)


@pytest.mark.real
def test_native_histograms_fire_above_a_tenth_of_slow_steps(tmp_path):
    slow, few, fast = natively("slow", 5), natively("few", 1), natively("fast", 0)
    assert failures(slow_case(slow, few, fast, fires=(slow,)), tmp_path) == ""


@pytest.mark.real
def test_a_target_with_classic_buckets_does_not_fire_for_its_native_histogram(tmp_path):
    of_both = natively("both", 5, **{'ekm_step_duration_seconds_count{step="get_key"}': f"0+{STEPS}x200"})
    assert failures(slow_case(of_both, fires=()), tmp_path) == ""
    assert "both" in failures(slow_case(of_both, fires=(of_both,)), tmp_path)


@pytest.mark.real
def test_classic_histograms_fire_the_same_with_both_files(tmp_path):
    (case,) = (each for each in CASES if each.name == "slow responses")
    assert failures(case, tmp_path) == ""


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
