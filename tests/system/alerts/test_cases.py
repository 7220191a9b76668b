"""Every alert in the rule engine of Prometheus: silent before the fault, firing with the right texts, and over afterwards."""

import re
import subprocess
from collections import defaultdict

import pytest
import yaml

from alerts.build import RULES
from exporter.metrics.families import BY_NAME
from tests.support.patience import PROGRAM_SECONDS
from tests.system.alerts.case import Fired, RuleCase, differences, named, prefixed, spans_by_case
from tests.system.alerts.cases import common, ends, gaps, keys, over, pages, spikes, tickets
from tests.system.alerts.texts import rendered, reviewed
from tests.system.alerts.timeline import READ, Exporter, Target

CASES = {case.name: case for table in (spikes, pages, common, tickets, keys, ends, over, gaps) for case in table.CASES}
PREFIXED = named(CASES.values())
GROUPS_OF_RULES = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"] for group in GROUPS_OF_RULES for rule in group["rules"] if "alert" in rule}
ALWAYS = {"EkmWatchdog"}
# Labels of Prometheus, and labels that users choose for a target or an instance.
FREE = {"job", "instance", "team", "env", "__name__", "le"}


@pytest.fixture(scope="session")
def spans(tmp_path_factory):
    """When each alert fires in the run of every case."""
    return spans_by_case(tmp_path_factory.mktemp("cases"), PREFIXED)


@pytest.mark.real
@pytest.mark.parametrize("prefix", PREFIXED, ids=CASES)
def test_case_fires_exactly_the_expected_alerts(spans, prefix):
    assert list(differences(PREFIXED[prefix], prefix, spans[prefix])) == []


@pytest.mark.real
def test_promtool_lint_accepts_the_rules():
    done = subprocess.run(  # noqa: S603 - nothing from outside the tests
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES],  # noqa: S607 - found on the PATH, as a user would
        capture_output=True,
        text=True,
        check=False,
        timeout=PROGRAM_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def checks_by_alert():
    """Return by alert and case, in order of time, whether the alert must fire."""
    found = defaultdict(list)
    for case in CASES.values():
        for second, alert, fired in sorted(case.checks, key=lambda check: check[0]):
            found[alert, case.name].append((second, bool(fired)))
    return found


def test_every_alert_fires_in_a_case():
    assert {alert for (alert, _), checks in checks_by_alert().items() if any(fires for _, fires in checks)} == ALERTS


def test_every_alert_begins_and_ends_in_a_case():
    complete = set()
    for (alert, _), checks in checks_by_alert().items():
        fires = [fires for _, fires in checks]
        if True in fires and not fires[0] and not fires[-1]:
            complete.add(alert)
    assert complete == ALERTS - ALWAYS


def test_every_alert_has_a_series_that_must_not_fire_it():
    """Each alert has another target or exporter next to the firing one, or a case in which it must not fire."""
    never = {alert for case in CASES.values() for alert in case.absent}
    next_to = {
        alert
        for case in CASES.values()
        for _, alert, fired in case.checks
        if fired and sum(len(exporter.targets) for exporter in case.exporters) > len(fired)
    }
    assert (never | next_to) - ALWAYS == ALERTS - ALWAYS


@pytest.mark.real
def test_texts_of_alerts_equal_the_reviewed_texts(tmp_path):
    texts = rendered(list(CASES.values()), tmp_path)

    assert set(texts) == set(reviewed()) == ALERTS
    for alert, text in texts.items():
        assert text == reviewed()[alert], f"{alert}: run python -m tests.system.alerts.texts and review the difference"


@pytest.mark.real
def test_key_with_other_signs_is_in_no_command(tmp_path):
    off = {"ekm_key_enabled": "0x20"}
    target = Target(probes=[READ] * 15, info={"mode": "read_only", "key": "x; reboot/0123"}, more=off)
    check = (600, "EkmKeyDisabledUntested", [Fired({})])
    text = rendered([RuleCase(name="key", exporters=[Exporter(targets=[target])], length=900, checks=[check])], tmp_path)
    assert text["EkmKeyDisabledUntested"]["description"].endswith("First: enable it.")


def test_texts_have_no_unfilled_name_of_a_target():
    found = [name for name, text in reviewed().items() if re.search(r"\b(?:VAULT|KEY|VERSION|TARGET)\b", text["description"])]
    assert found == []


def test_cases_use_series_that_the_exporter_has():
    """A case with a misspelt label would test nothing."""
    strange = []
    for case in CASES.values():
        for one in prefixed(case, ""):
            name, _, labels = one["series"].partition("{")
            spec = BY_NAME.get(name) or BY_NAME.get(name.rsplit("_", 1)[0])
            own = {pair.partition("=")[0] for pair in labels.removesuffix("}").split('",') if pair}
            if name not in ("up", "process_start_time_seconds") and (
                spec is None or (own ^ set(spec.labels)) - FREE - optional_labels(name)
            ):
                strange.append(one["series"])
    assert strange == []


def optional_labels(name):
    """Return the labels that are empty, and so absent in Prometheus, unless the configuration sets them."""
    return {"ekm_instance_info": {"host", "ag", "sql_instance"}, "ekm_target_info": {"thumbprint"}}.get(name, set())
