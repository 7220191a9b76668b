"""Every scenario of one process, probed through the Azure SDK over TLS."""

from dataclasses import dataclass

import pytest

from exporter.core.values import Fault, Generation, Outcome, Step
from exporter.knowledge import classify
from exporter.knowledge import reasons as reasons_module
from exporter.knowledge.reasons import Reason, markers_of
from exporter.presentation.payloads import step_payload
from exporter.presentation.text import facts_of
from exporter.simulator.faults import FaultScope
from exporter.simulator.scenarios import SCENARIOS, SIMULATED, Outside
from tests.support.simulated_vaults import PROBED, PUBLIC, VAULTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

HERE = [one for one in SCENARIOS if one.scope is not Outside.NETWORK and one.step is not None]
# Faults that need their own network or a hanging file, or occur before any probe. Other tests cause them.
ELSEWHERE = {
    Fault.DNS_TEMPORARY,
    Fault.DNS_TIMEOUT,
    Fault.NETWORK_DOWN,
    Fault.CONNECT_RESET,
    Fault.CONNECT_TIMEOUT,
    Fault.CONNECT_UNREACHABLE,
    Fault.CONNECT_FAILED,
    Fault.KEY_NAME_TOO_LONG,
    Fault.SECRET_TIMEOUT,
}


async def test_every_step_succeeds_in_every_cloud(harness):
    for report in (await harness.probe()).values():
        assert report.success
        assert [result.outcome for result in report.steps] == [Outcome.OK] * 5


@pytest.mark.parametrize("scenario", HERE, ids=lambda scenario: scenario.name)
async def test_scenario_fails_with_its_step_code_and_reason(harness, scenario):
    shown, expected = {}, {}
    for (vault, generation), report in (await harness.caused(scenario)).items():
        failure = report.first_failure
        shown[vault.name, generation] = failure and (failure.step, failure.code, failure.reason)
        code = scenario.classic if generation is Generation.CLASSIC else scenario.current
        expected[vault.name, generation] = (scenario.step, code, scenario.reason)
        before = [result.outcome for result in report.steps[: list(Step).index(scenario.step)]]
        assert set(before) <= {Outcome.OK}
    assert shown == expected
    assert harness.bugs == []


@dataclass(frozen=True)
class Ready:
    """The outcomes of the five steps by their first letters, and the verdict, during a scenario."""

    outcomes: str
    ready: bool


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("key_expired", Ready("ooofo", ready=True)),
        ("key_not_yet_valid", Ready("ooofo", ready=True)),
        ("wrap_forbidden", Ready("ooofo", ready=True)),
        ("wrap_not_in_key_ops", Ready("ooofo", ready=True)),
        ("wrap_throttled", Ready("ooofo", ready=True)),
        ("wrap_silent", Ready("ooofo", ready=True)),
        ("wrap_json_deep", Ready("ooofo", ready=True)),
        ("key_disabled", Ready("oooff", ready=False)),
        ("key_disabled_unwrap", Ready("oooof", ready=False)),
        ("unwrap_forbidden", Ready("oooof", ready=False)),
        ("unwrap_throttled", Ready("oooof", ready=False)),
        ("wrapped_elsewhere", Ready("oooof", ready=False)),
        ("other_bytes", Ready("oooof", ready=False)),
        ("key_4096_bits", Ready("oofss", ready=False)),
        ("secret_expired", Ready("ofsss", ready=False)),
        ("vault_deleted", Ready("fssss", ready=False)),
    ],
)
async def test_unwrap_decides_the_verdict(harness, name, shown):
    reports = await harness.caused(next(one for one in SCENARIOS if one.name == name))
    for report in reports.values():
        assert Ready("".join(result.outcome.value[0] for result in report.steps), report.readiness.ready) == shown


async def test_every_classification_rule_matches_a_real_response(harness):
    met = set()
    for scenario in HERE:
        for report in (await harness.caused(scenario)).values():
            for result in report.steps:
                if result.outcome is Outcome.FAILED:
                    met |= set(rules_of(result.step, result.facts))
    every = {*classify.STATUS_RULES, *reasons_module.ENTRA_REASONS, *reasons_module.VAULT_REASONS, *classify.FAULT_RULES}
    unmet = {rule for rule in every - met if getattr(rule, "fault", None) not in ELSEWHERE}
    assert {rule.reason for rule in unmet} == {Reason.ENTRA_UNAVAILABLE}  # by word: Entra sends a number; promised.py has it


def rules_of(step, facts):
    """The rows of the classification tables that match these facts."""
    if facts.fault not in (Fault.HTTP_STATUS, Fault.PROXY_STATUS):
        yield next(rule for rule in classify.FAULT_RULES if rule.fault is facts.fault and step in (rule.steps or Step))
        return
    markers = markers_of(facts) if facts.fault is Fault.HTTP_STATUS else frozenset()
    by_status = [
        rule for rule in classify.STATUS_RULES if rule.first <= facts.status <= rule.last and step in (rule.steps or Step)
    ]
    yield from [rule for rule in by_status if not rule.markers or markers & set(rule.markers)][:1]  # no rule: a proxy's redirect
    reasons = reasons_module.ENTRA_REASONS if step is Step.TOKEN else reasons_module.VAULT_REASONS
    yield from [rule for rule in reasons if markers & set(rule.markers) and facts.status in (rule.statuses or [facts.status])][:1]


async def test_broken_vault_does_not_affect_others(harness, cleared):
    for scenario in SIMULATED:
        if scenario.scope is FaultScope.VAULT:
            cleared.apply(scenario.name, vault=PUBLIC.host)
    others = [one for one in PROBED if one[0] is not PUBLIC]
    assert all(report.success for report in (await harness.probe(only=others)).values())


async def test_retry_after_is_that_of_the_scenario(harness):
    for name, seconds in (("throttled", None), ("throttled_retry_after", 7), ("entra_throttled", None), ("sign_in_throttled", 7)):
        for report in (await harness.caused(next(one for one in SCENARIOS if one.name == name))).values():
            assert report.first_failure.facts.retry_after_seconds == seconds


@pytest.mark.parametrize("fault", ["informational", "key_rotated", "moved"])
async def test_harmless_fault_fails_no_step(harness, cleared, fault):
    for vault in VAULTS:
        cleared.set_fault(fault, vault=vault.host)
    assert all(report.success for report in (await harness.probe()).values())


async def test_credential_without_tenant_uses_that_of_the_challenge(harness, cleared):
    cleared.apply("vault_in_other_tenant", vault=PUBLIC.host)
    credentials = harness.by_secret()
    homeless = {
        name: type(one)(name=name, kind=one.kind, client_id=one.client_id, secret=one.secret) for name, one in credentials.items()
    }
    report = (await harness.probe(homeless, only=PROBED[:1]))[PROBED[0]]
    assert (report.first_failure.step, report.first_failure.code, report.first_failure.reason) == (
        Step.TOKEN,
        3128,
        Reason.TENANT_UNKNOWN,
    )
    cleared.clear()
    assert all(report.success for report in (await harness.probe(homeless)).values())


async def test_lost_connections_between_steps_keep_the_verdict(harness, cleared):
    cleared.set_fault("keep_alive_lost", vault=PUBLIC.host)
    report = (await harness.probe(only=PROBED[:1]))[PROBED[0]]
    assert (report.success, report.readiness.ready) == (True, True), report.first_failure
    resent = [result.step for result in report.steps if result.facts.resent]
    assert resent == [Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY]
    assert [result.step for result in report.steps if step_payload(result)["resent"]] == resent
    assert [result.step for result in report.steps if dict(facts_of(result)).get("resent", "").startswith("yes")] == resent
    assert not harness.bugs


async def test_connection_that_every_request_closes_fails_after_one_repeat(harness, cleared):
    cleared.set_fault("closed", vault=PUBLIC.host)
    report = (await harness.probe(only=PROBED[:1]))[PROBED[0]]
    assert (report.first_failure.step, report.first_failure.facts.resent) == (Step.CHALLENGE, False)
