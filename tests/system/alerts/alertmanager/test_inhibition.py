"""Which alert inhibits which other one in a real Alertmanager, and that no other alert is inhibited."""

import itertools

import pytest
import yaml

from tests.system.alerts.alertmanager.labels import ALERTS, TARGET_PAGES, TARGET_TICKETS, matches
from tests.system.alerts.alertmanager.rendering import EXAMPLE

OF_SEVERAL_EXPORTERS = ("EkmWatchdog", "EkmVaultRequestBudgetExceeded", "EkmShardMissing")  # without an instance
TICKETS = " ".join(name for name, alert in ALERTS.items() if alert.severity != "critical" and name not in OF_SEVERAL_EXPORTERS)
BURNS = "EkmErrorBudgetBurns"
INDEPENDENT = "EkmRecoveryUnusable EkmRetainedVersionUnusable EkmNextCredentialRefused EkmKeyRotationPending EkmKeyBackupOld"
NOT_DELETED = TARGET_PAGES.replace("EkmKeySoftDeleted", "")
NOT_REFUSED = NOT_DELETED.replace("EkmForbiddenSpike", "")
DEPENDENT_TICKETS = " ".join(name for name in TARGET_TICKETS.split() if name not in INDEPENDENT)
FROM_THE_FAULT = f"EkmVaultSideNotReady EkmProbeFails {DEPENDENT_TICKETS}"
FROM_THE_CREDENTIAL = f"EkmVaultSideNotReady EkmProbeFails {BURNS}"
OF_EXPORTER, OF_CREDENTIAL, OF_TARGET = "job instance", "job instance credential", "job instance target"

# Which alert inhibits which others, if these labels are equal. All other pairs are independent.
TABLE = {
    "EkmExporterDown": [(TICKETS, OF_EXPORTER)],
    "EkmEveryProbeStale": [(f"{TARGET_TICKETS} EkmPathChanged", OF_EXPORTER)],
    "EkmEgressDown": [
        (f"{NOT_DELETED} EkmEntraUnavailable EkmEntraTurnsAway EkmRegionDown EkmCredentialForbidden", OF_EXPORTER),
        (f"EkmVerdictUnknown {BURNS}", OF_EXPORTER),
    ],
    "EkmEntraUnavailable": [
        (NOT_REFUSED.replace("EkmVaultHostNameGone", ""), OF_EXPORTER),
        (f"EkmEntraTurnsAway EkmVerdictUnknown {BURNS}", OF_EXPORTER),
    ],
    "EkmRegionDown": [(f"{NOT_REFUSED} {BURNS}", "job instance region")],
    "EkmCredentialExpired": [
        ("EkmCredentialRefused EkmCredentialExpiresIn1Day EkmCredentialExpiresIn7Days", OF_CREDENTIAL),
        ("EkmCredentialExpiresIn30Days EkmCredentialExpiryDoubtful", OF_CREDENTIAL),
        (FROM_THE_CREDENTIAL, OF_CREDENTIAL),
    ],
    "EkmCredentialRefused": [(FROM_THE_CREDENTIAL, OF_CREDENTIAL)],
    "EkmEntraTurnsAway": [(FROM_THE_CREDENTIAL, OF_CREDENTIAL)],
    "EkmCredentialForbidden": [("EkmForbiddenSpike", OF_CREDENTIAL)],
    "EkmThrottledSpike": [(FROM_THE_FAULT, OF_TARGET)],
    "EkmForbiddenSpike": [(FROM_THE_FAULT, OF_TARGET)],
    "EkmVaultHostNameGone": [(FROM_THE_FAULT, OF_TARGET)],
    "EkmKeySoftDeleted": [(FROM_THE_FAULT, OF_TARGET)],
    "EkmVaultSideNotReady": [(DEPENDENT_TICKETS, OF_TARGET)],
    "EkmProbeFails": [(DEPENDENT_TICKETS, OF_TARGET)],
    "EkmKeyDisabledUntested": [(DEPENDENT_TICKETS, OF_TARGET)],
}


def inhibited_by(source: str) -> dict[str, list[str]]:
    """Return the labels that must be equal, by the name of the inhibited alert."""
    return {name: labels.split() for names, labels in TABLE.get(source, []) for name in names.split()}


@pytest.fixture(scope="module")
def rules() -> list[dict[str, list[str]]]:
    return yaml.safe_load(EXAMPLE.read_text())["inhibit_rules"]


def samples(name: str) -> list[dict[str, str]]:
    """Return the alert with every possible label, and with its fixed labels only."""
    return [ALERTS[name].sample(), ALERTS[name].sample(maybe=False)]


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_every_equal_label_of_its_rules(rules, name):
    """Two missing labels count as equal, so a rule would inhibit more than it names."""
    for rule, side, labels in itertools.product(rules, ("source_matchers", "target_matchers"), samples(name)):
        if matches(rule[side], labels) and not (side == "source_matchers" and "credential" not in labels):
            assert [label for label in rule["equal"] if label not in labels] == [], (name, rule)


def test_every_inhibition_rule_matches_alerts(rules):
    for rule in rules:
        for side in ("source_matchers", "target_matchers"):
            assert [name for name in ALERTS if matches(rule[side], ALERTS[name].sample())], rule


def test_no_alert_inhibits_itself(rules):
    for rule, labels in itertools.product(rules, (sample for name in ALERTS for sample in samples(name))):
        assert not (matches(rule["source_matchers"], labels) and matches(rule["target_matchers"], labels)), rule


def test_no_two_alerts_inhibit_each_other():
    assert [(one, other) for one in TABLE for other in inhibited_by(one) if one in inhibited_by(other)] == []


@pytest.mark.real
@pytest.mark.asyncio(loop_scope="module")
async def test_inhibited_page_still_inhibits_its_consequences(shared):
    job = "a chain"
    names = ("EkmCredentialForbidden", "EkmForbiddenSpike", "EkmVaultSideNotReady")
    posted = [ALERTS[name].sample(job=job) for name in names]
    await shared.post(*posted, other := {**posted[-1], "target": "another"})
    states = [(labels, state) for labels, state in await shared.settled(job) if labels["alertname"] != names[0]]
    assert {labels["target"] for labels, state in states if state == "active"} == {other["target"]}
    assert len(states) == 3


@pytest.mark.real
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("source", ALERTS)
async def test_alert_inhibits_exactly_the_alerts_of_the_table(shared, source):
    """Each pair has a job of its own: the other alert with equal labels, and once more for each label that differs."""
    posted, expected = [], set()
    for name in ALERTS.keys() - {source, "EkmWatchdog", "EkmVaultRequestBudgetExceeded"}:
        job, agree = f"{source} and {name}", inhibited_by(source).get(name, [])
        posted += [ALERTS[source].sample(job=job), same := ALERTS[name].sample(job=job, which="the same")]
        posted += [{**same, "which": f"another {label}", label: "another"} for label in agree if label != "job"]
        expected |= {(name, "the same")} if agree else set()
    await shared.post(*posted)
    states = await shared.settled(f"{source} and .*")
    assert len(states) == len(posted)
    inhibited = {
        (labels["alertname"], labels["which"]) for labels, state in states if state == "suppressed" and "which" in labels
    }
    assert inhibited == expected
