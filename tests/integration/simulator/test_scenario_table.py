"""The scenario table covers every code and every rule that a server can cause."""

import re
from pathlib import Path

import pytest

from docs.generators.simulator import caused
from exporter.config.load import load_config
from exporter.core.values import Fault, Generation, Step
from exporter.knowledge.classify import FAULT_RULES, STATUS_RULES, Classification, classify
from exporter.knowledge.code_row import Family
from exporter.knowledge.codes import BY_CODE, CODES, generation_code
from exporter.knowledge.reasons import Reason
from exporter.simulator.faults import _TABLE, FAULTS
from exporter.simulator.scenarios import BY_NAME, SCENARIOS, SIMULATED, Outside, Scenario
from tests.unit.knowledge.test_classify import facts_with

TESTS = Path(__file__).parents[2]
MET = {(one.step, one.classic, one.reason) for one in SCENARIOS}
WITH_BODY = (Step.TOKEN, Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)
FIRST_CONTACT = (Step.CHALLENGE, Step.TOKEN)  # a new connection, to the vault and to Entra

# The steps at which faults of any step occur. Faults of the local network are the same for the vault and for Entra.
STEPS = {
    **dict.fromkeys((Fault.DNS_NOT_FOUND, Fault.CONNECT_REFUSED), FIRST_CONTACT),
    **{fault: FIRST_CONTACT for fault in Fault if fault.name.startswith("TLS_")},
    **dict.fromkeys((Fault.DNS_TEMPORARY, Fault.DNS_TIMEOUT, Fault.NETWORK_DOWN), (Step.CHALLENGE,)),
    **dict.fromkeys((Fault.CONNECT_TIMEOUT, Fault.CONNECT_UNREACHABLE), (Step.CHALLENGE,)),
    **{fault: (Step.CHALLENGE,) for fault in Fault if fault.name.startswith("PROXY_")},
    **dict.fromkeys(
        (Fault.CONNECTION_RESET, Fault.CONNECTION_CLOSED, Fault.READ_TIMEOUT, Fault.NOT_HTTP, Fault.REDIRECT), tuple(Step)
    ),
    **dict.fromkeys((Fault.BODY_TRUNCATED, Fault.BODY_TIMEOUT, Fault.BODY_TOO_LARGE), WITH_BODY),
    **{fault: (Step.CHALLENGE,) for fault in Fault if "CHALLENGE" in fault.name},
    **dict.fromkeys((Fault.AUTHORITY_UNTRUSTED, Fault.RESOURCE_MISMATCH), (Step.CHALLENGE,)),
    **dict.fromkeys((Fault.TOKEN_MISSING, Fault.TOKEN_UNUSABLE), (Step.TOKEN,)),
    **{fault: (Step.GET_KEY,) for fault in Fault if fault.name.startswith(("KEY_", "KID_", "KTY_", "MODULUS_", "EXPONENT_"))},
    **dict.fromkeys(
        (Fault.SECRET_TOO_SHORT, Fault.SECRET_UNREADABLE, Fault.IDENTITY_UNAVAILABLE, Fault.IDENTITY_KEY_UNREADABLE),
        (Step.TOKEN,),
    ),
    **{fault: (Step.TOKEN,) for fault in Fault if fault.name.startswith(("PFX_", "PEM_"))},
    Fault.BYTES_DIFFER: (Step.UNWRAP_KEY,),
    Fault.KEY_NAME_TOO_LONG: (None,),  # before any probe
}
# Faults that no server and no network causes reliably. Tests with made-up facts check their codes.
NOT_CAUSED = {
    Fault.CONNECT_RESET: "a reset that arrives between two packets of the connection's own handshake",
    Fault.SECRET_TIMEOUT: "a file on a share that hangs: not every host has such a share",
    Fault.CONNECT_FAILED: "an error number of the operating system that no other rule knows",
}


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row.code))
def test_each_code_has_a_scenario_or_a_reason(row):
    assert bool(list(caused(row))) == row.observable
    assert bool(row.unobservable_because) != row.observable


@pytest.mark.parametrize("rule", FAULT_RULES, ids=lambda rule: f"{rule.fault}-{rule.code}")
def test_fault_rule_has_a_scenario_at_each_step(rule):
    if rule.fault in NOT_CAUSED:
        assert not [one for one in SCENARIOS if one.reason == rule.fault.value]
        return
    assert [step for step in rule.steps or STEPS[rule.fault] if (step, rule.code, rule.reason) not in MET] == []


def needed_of_statuses():
    """Each step and status rule that decides at that step, for a body with the least content."""
    for rule in STATUS_RULES:
        for step in rule.steps or Step:
            if step is Step.CHALLENGE and rule.first == 401:
                continue  # the challenge itself
            facts = facts_with(
                rule.markers[0] if rule.markers else None, status=rule.last - 81 if rule.last == 499 else rule.first
            )
            if classify(step, facts) == Classification(rule.code, rule.reason):
                yield step, rule.code, rule.reason


def test_status_rule_has_a_scenario_at_each_step():
    assert sorted(map(str, set(needed_of_statuses()) - MET)) == []


@pytest.mark.parametrize("operation", ["get", "wrapKey", "unwrapKey"])
def test_each_permission_can_be_missing_by_policy_and_by_role(operation):
    missing = {
        one.cause for one in SCENARIOS if one.cause in ("permission_removed", "role_removed") and one.given.operation == operation
    }
    assert missing == {"permission_removed", "role_removed"}


def test_generation_changes_exactly_twenty_codes():
    moved = {row.code for row in CODES if generation_code(row.code, Generation.CURRENT) != row.code}
    assert len(moved) == 20
    assert moved == {row.code for row in CODES if row.generation is Family.CLASSIC}
    for scenario in SCENARIOS:
        assert (scenario.classic != scenario.current) == (scenario.classic in moved), scenario.name
        assert scenario.current == generation_code(scenario.classic, Generation.CURRENT), scenario.name
    observable = {code for code in moved if BY_CODE[code].observable}
    assert {scenario.classic for scenario in SCENARIOS} & moved == observable


def test_scenario_has_a_unique_name_and_a_fault_of_its_scope():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len(_TABLE) == len(FAULTS)
    for scenario in SIMULATED:
        assert scenario.scope in FAULTS[scenario.cause].scopes, scenario.name


def test_network_scenarios_are_covered_by_the_network_tests():
    text = "\n".join(path.read_text(encoding="utf-8") for path in (TESTS / "system" / "network").glob("*.py"))
    assert [one.name for one in SCENARIOS if one.scope is Outside.NETWORK and not re.search(rf"\b{one.reason}\b", text)] == []


CONFIGURATION = """\
global: {connector_generation: classic}
credentials: {sql: {type: connector_secret, secret_file: secret}}
targets: [{name: a, vault: contoso, key: KEY/0123456789abcdef0123456789abcdef, credential: sql}]
"""
GOOD_KEY, GOOD_SECRET = "TdeKey", "c7a1f0e8d29b4c56a3e47d8b1f60925e" + "marked-secret"
WRITTEN = {
    "key_name_long": ("TdeKeyOfTheFinanceDepartment"[:27], GOOD_SECRET),
    "key_name_strange": ("Tde_Key", GOOD_SECRET),
    "credential_short": (GOOD_KEY, GOOD_SECRET[:31]),
}


def refused(folder, key, secret):
    (folder / "secret").write_text(secret)
    (folder / "secret").chmod(0o600)
    (folder / "ekm.yml").write_text(CONFIGURATION.replace("KEY", key))
    return [str(problem) for problem in load_config(folder / "ekm.yml").problems]


@pytest.mark.parametrize("scenario", [one for one in SCENARIOS if one.step is None], ids=lambda one: one.name)
def test_configuration_scenario_is_refused_with_its_code(scenario: Scenario, tmp_path):
    assert scenario.scope is Outside.CONFIGURATION
    (problem,) = refused(tmp_path, *WRITTEN[scenario.name])
    assert f"(SQL Server shows {scenario.classic})" in problem


def test_configuration_without_the_cause_has_no_problem(tmp_path):
    assert refused(tmp_path, GOOD_KEY, GOOD_SECRET) == []


def test_every_reason_has_a_scenario():
    without = {
        Reason.SCRAPE_TIMEOUT,
        Reason.UNEXPECTED_STATUS,
        Reason.INTERNAL,
        Reason.SECRET_TIMEOUT,
        Reason.CONNECT_RESET,
        Reason.CONNECT_FAILED,
    }
    assert set(Reason) - {one.reason for one in SCENARIOS} == without


# Causes that need different repairs.
REPAIRED_APART = (
    "firewall", "connect_dropped", "vault_refused", "private_only", "role_removed", "get_forbidden", "key_disabled", "key_purged",
    "resolver_nxdomain", "resolver_servfail", "secret_expired", "secret_wrong",
)  # fmt: skip


@pytest.mark.parametrize("generation", Generation)
def test_causes_with_different_repairs_differ_in_code_or_reason(generation):
    pairs = {(getattr(BY_NAME[name], generation), BY_NAME[name].reason) for name in REPAIRED_APART}
    assert len(pairs) == len(REPAIRED_APART)
