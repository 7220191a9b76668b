"""Every alert in the rule engine of Prometheus: silent before the fault, firing with the right texts, and over afterwards."""

import re
import subprocess
from collections import defaultdict

import pytest
import yaml

from alerts.build import RULES
from exporter.metrics.definitions import BY_NAME
from tests.system.alerts.case import GROUPS, Fired, RuleCase, document
from tests.system.alerts.cases import common, ends, gaps, keys, over, pages, spikes, tickets
from tests.system.alerts.promtool import results
from tests.system.alerts.texts import rendered, reviewed
from tests.system.alerts.timeline import OK, Exporter, Failed, Target

CASES = {case.name: case for table in (spikes, pages, common, tickets, keys, ends, over, gaps) for case in table.CASES}
FILES = {name: f"case{number:02}" for number, name in enumerate(CASES)}
GROUPS_OF_RULES = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {rule["alert"] for group in GROUPS_OF_RULES for rule in group["rules"] if "alert" in rule}
ALWAYS = {"EkmWatchdog"}
# Labels of Prometheus, and labels that users choose for a target or an instance.
FREE = {"job", "instance", "team", "env", "__name__", "le"}


@pytest.fixture(scope="session")
def outputs(tmp_path_factory):
    """The output of promtool for every case, from one run for all."""
    place = tmp_path_factory.mktemp("cases")
    for name, case in CASES.items():
        text = yaml.dump(document(case, str(RULES)), Dumper=yaml.CSafeDumper, width=10**6)
        (place / f"{FILES[name]}.yml").write_text(text)
    return results(sorted(place.glob("*.yml")))


@pytest.mark.real
@pytest.mark.parametrize("name", CASES)
def test_case_fires_exactly_the_expected_alerts(outputs, name):
    assert outputs[FILES[name]] == ""


@pytest.mark.real
def test_promtool_fails_on_a_wrong_expectation(tmp_path):
    """A case with a misspelt alert must fail."""
    case = next(case for case in CASES.values() if case.name == "a target without labels")
    text = yaml.safe_dump(document(case, str(RULES)), width=10**6).replace("EkmForbiddenSpike", "EkmForbiddenSpikes")
    (tmp_path / "wrong.yml").write_text(text)

    assert "FAILED" in results([tmp_path / "wrong.yml"])["wrong"]


@pytest.mark.real
def test_promtool_lint_accepts_the_rules():
    done = subprocess.run(  # noqa: S603 - nothing from outside the tests
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", RULES],  # noqa: S607 - found on the PATH, as a user would
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
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
@pytest.mark.parametrize(
    ("step", "reason", "command"),
    [
        ("unwrap_key", "key_disabled", "set-attributes --hsm-name hsm1 --name tde --version 0123 --enabled true"),
        (
            "get_key",
            "forbidden_rbac",
            'role assignment create --hsm-name hsm1 --role "Managed HSM Crypto Service Encryption User"',
        ),
    ],
)
def test_actions_of_a_managed_hsm_have_its_option(tmp_path, step, reason, command):
    target = Target(vault="hsm1.managedhsm.azure.net", probes=[*[OK] * 5, *[Failed(step, 3077, reason)] * 10])
    case = RuleCase(
        name="hsm", exporters=[Exporter(targets=[target])], length=900, checks=[(540, "EkmForbiddenSpike", [Fired({})])]
    )
    text = rendered([case], tmp_path)["EkmForbiddenSpike"]["description"]
    assert command in text


def test_texts_have_no_unfilled_name_of_a_target():
    found = [name for name, text in reviewed().items() if re.search(r"\b(?:VAULT|KEY|VERSION|TARGET)\b", text["description"])]
    assert found == []


def test_groups_are_evaluated_in_file_order():
    assert [group["name"] for group in GROUPS_OF_RULES] == GROUPS


def test_cases_use_series_that_the_exporter_has():
    """A case with a misspelt label would test nothing."""
    strange = []
    for case in CASES.values():
        [test] = document(case, str(RULES))["tests"]
        for one in test["input_series"]:
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
