"""The scenario table is complete: no code without a scenario or a reason, no rule and step that a server could cause left out."""

import re
from pathlib import Path

import pytest

from docs.generators.simulator import caused
from exporter.config import load_config
from exporter.core.classify import ENTRA_REASONS, FAULT_RULES, STATUS_RULES, VAULT_REASONS, Classification, classify
from exporter.core.codes import BY_CODE, CODES, Family, in_generation
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Generation, Step
from exporter.simulator.fault_table import _TABLE, FAULTS
from exporter.simulator.scenarios import SCENARIOS, SIMULATED, Outside, Scenario
from tests.unit.core.test_classify import facts_saying

TESTS = Path(__file__).parents[2]
MET = {(one.step, one.classic, one.reason) for one in SCENARIOS}
WITH_BODY = (Step.TOKEN, Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)
WITH_TOKEN = (Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY)
FIRST_CONTACT = (Step.CHALLENGE, Step.TOKEN)  # a new connection, to the vault and to Entra

# Where the faults that can come at any step do come. Those of the host's own network are one at the vault as at Entra.
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
    **dict.fromkeys((Fault.SECRET_TOO_SHORT, Fault.SECRET_UNREADABLE, Fault.IDENTITY_UNAVAILABLE), (Step.TOKEN,)),
    **{fault: (Step.TOKEN,) for fault in Fault if fault.name.startswith(("PFX_", "PEM_"))},
    Fault.BYTES_DIFFER: (Step.UNWRAP_KEY,),
    Fault.KEY_NAME_TOO_LONG: (None,),  # before any probe
}
# What no server and no network brings about at will. That the codes are right is tested with made-up facts.
NOT_AT_WILL = {
    Fault.CONNECT_RESET: "a reset that arrives between two packets of the connection's own handshake",
    Fault.SECRET_TIMEOUT: "a file on a share that hangs: not every host can be given one",
    Fault.CONNECT_FAILED: "an error number of the operating system that no other rule knows",
}


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row.code))
def test_a_code_has_a_scenario_or_a_reason_why_it_has_none(row):
    assert bool(list(caused(row))) == row.observable
    assert bool(row.unobservable_because) != row.observable


@pytest.mark.parametrize("rule", FAULT_RULES, ids=lambda rule: f"{rule.fault}-{rule.code}")
def test_a_rule_for_a_fault_has_a_scenario_at_each_step_where_it_is_met(rule):
    if rule.fault in NOT_AT_WILL:
        assert not [one for one in SCENARIOS if one.reason == rule.fault.value]
        return
    assert [step for step in rule.steps or STEPS[rule.fault] if (step, rule.code, rule.reason) not in MET] == []


def needed_of_statuses():
    """Each step and rule about a status that decides at that step, for a body that says no more than it must."""
    for rule in STATUS_RULES:
        for step in rule.steps or Step:
            if step is Step.CHALLENGE and rule.first == 401:
                continue  # that is the challenge itself
            facts = facts_saying(
                rule.markers[0] if rule.markers else None, status=rule.last - 81 if rule.last == 499 else rule.first
            )
            if classify(step, facts) == Classification(rule.code, rule.reason):
                yield step, rule.code, rule.reason


def needed_of_reasons():
    """Each rule about a word in an error body, at the steps where a server may say it."""
    for rules, steps in ((ENTRA_REASONS, (Step.TOKEN,)), (VAULT_REASONS, (Step.GET_KEY, Step.WRAP_KEY))):
        for rule in rules:
            yield steps, rule.reason


def test_a_rule_for_a_status_has_a_scenario_at_each_step():
    assert sorted(map(str, set(needed_of_statuses()) - MET)) == []


def test_a_word_in_an_error_body_has_a_scenario():
    shown = {(one.step, one.reason) for one in SCENARIOS}
    assert [reason for steps, reason in needed_of_reasons() if not {(step, reason) for step in steps} & shown] == []


@pytest.mark.parametrize("operation", ["get", "wrapKey", "unwrapKey"])
def test_each_permission_can_be_missing_by_policy_and_by_role(operation):
    missing = {
        one.cause for one in SCENARIOS if one.cause in ("permission_removed", "role_removed") and one.given.operation == operation
    }
    assert missing == {"permission_removed", "role_removed"}


def test_exactly_the_twenty_twins_are_moved_by_the_switch():
    moved = {row.code for row in CODES if in_generation(row.code, Generation.CURRENT) != row.code}
    assert len(moved) == 20
    assert moved == {row.code for row in CODES if row.generation is Family.CLASSIC}
    for scenario in SCENARIOS:
        assert (scenario.classic != scenario.current) == (scenario.classic in moved), scenario.name
        assert scenario.current == in_generation(scenario.classic, Generation.CURRENT), scenario.name
    observable_twins = {code for code in moved if BY_CODE[code].observable}
    assert {scenario.classic for scenario in SCENARIOS} & moved == observable_twins


def test_every_scenario_has_a_name_of_its_own_and_a_fault_that_fits_its_place():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert len(_TABLE) == len(FAULTS)
    for scenario in SIMULATED:
        assert scenario.place in FAULTS[scenario.cause].scopes, scenario.name


def test_a_scenario_is_told_in_one_line_that_a_table_can_hold():
    for scenario in SCENARIOS:
        for text in (scenario.broken, scenario.story):
            assert text and "|" not in text and "\n" not in text, scenario.name  # noqa: PT018 - one rule about one text
        assert scenario.story.endswith("."), scenario.name


def test_a_scenario_of_the_network_is_caused_with_real_resolvers_and_routes():
    told = "\n".join(path.read_text(encoding="utf-8") for path in (TESTS / "system" / "network").glob("*.py"))
    assert [one.name for one in SCENARIOS if one.place is Outside.NETWORK and not re.search(rf"\b{one.reason}\b", told)] == []


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
def test_a_scenario_of_the_configuration_is_refused_with_its_code(scenario: Scenario, tmp_path):
    assert scenario.place is Outside.CONFIGURATION
    (problem,) = refused(tmp_path, *WRITTEN[scenario.name])
    assert f"(SQL Server shows {scenario.classic})" in problem


def test_the_configuration_of_those_scenarios_has_no_other_problem(tmp_path):
    assert refused(tmp_path, GOOD_KEY, GOOD_SECRET) == []


def test_every_reason_that_a_probe_can_give_has_a_scenario():
    without = {
        Reason.SCRAPE_TIMEOUT,
        Reason.UNEXPECTED_STATUS,
        Reason.INTERNAL,
        Reason.SECRET_TIMEOUT,
        Reason.CONNECT_RESET,
        Reason.CONNECT_FAILED,
    }
    assert set(Reason) - {one.reason for one in SCENARIOS} == without


def test_a_status_that_the_table_takes_for_its_example_is_of_no_other_rule():
    assert classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=418)).reason is Reason.CLIENT_ERROR
