"""Changes of a target: which are recorded, and which are not."""

from dataclasses import replace

import pytest

from exporter.core.values import Facts, Outcome, PeerCertificate, Step, VaultHeaders
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.verdict import AuxiliaryKind
from exporter.state.record import MAX_CHANGES, TargetRecords
from tests.support.factories import a_failure, a_report, a_target
from tests.support.web_factories import auxiliary_result, key


@pytest.fixture
def state():
    return TargetRecords(history_limit=5)


def a_good_report(at=0.0, *, region="westeurope", issuer="CN=Microsoft", version="1" * 32):
    certificate = PeerCertificate(not_after=1.9e9, issuer=issuer)
    facts = Facts(vault=VaultHeaders(region=region), endpoint="contoso:443", certificate=certificate)
    step = StepResult(step=Step.GET_KEY, outcome=Outcome.OK, facts=facts)
    return a_report("payroll", step, at=at, key=replace(key(), version=version))


def recorded(state, *reports):
    for report in reports:
        record = state.record(a_target(), report)
    return [(change.at, change.what.value, change.before, change.after, change.subject) for change in record.changes]


def test_first_probe_is_no_change(state):
    assert recorded(state, a_good_report()) == []


def test_every_kind_of_change_is_recorded(state):
    found = recorded(
        state,
        a_good_report(),
        a_good_report(1.0, region="northeurope", issuer="CN=Proxy", version="2" * 32),
        a_failure(at=2.0),
        a_failure(at=3.0, code=3303, step=Step.TOKEN),
        a_failure(at=3.5, code=3303, step=Step.TOKEN, reason=Reason.SECRET_EXPIRED),
        a_good_report(4.0, region="northeurope", issuer="CN=Proxy", version="2" * 32),
    )
    assert found == [
        (1.0, "region", "westeurope", "northeurope", ""),
        (1.0, "key_version", "1" * 32, "2" * 32, ""),
        (1.0, "certificate_issuer", "CN=Microsoft", "CN=Proxy", "contoso:443"),
        (2.0, "state", "ready", "not_ready", ""),
        (3.0, "code", "3077", "3303", ""),
        (3.5, "reason", "forbidden", "secret_expired", ""),
        (4.0, "state", "not_ready", "ready", ""),
    ]


def test_change_of_state_has_the_failure_that_began_or_ended(state):
    recorded(state, a_good_report(), a_failure(at=1.0), a_good_report(2.0))
    began, ended = state.get("payroll").changes
    assert began.failure == ended.failure == (Step.GET_KEY, 3077, Reason.FORBIDDEN)


def test_a_newer_key_version_is_a_change(state):
    for at, version in ((1.0, "1" * 32), (2.0, "2" * 32)):
        newest = auxiliary_result(AuxiliaryKind.NEWEST, at=at, key=replace(key(), version=version))
        record = state.add_auxiliary(a_target(), newest)
    assert [(each.at, each.what, each.after) for each in record.changes] == [(2.0, "newest_version", "2" * 32)]


def test_only_the_last_changes_are_kept(state):
    for at in range(3 * MAX_CHANGES):
        record = state.record(a_target(), a_good_report(float(at), region=f"region{at}"))
    assert len(record.changes) == MAX_CHANGES
    assert record.changes[-1].after == f"region{3 * MAX_CHANGES - 1}"
