"""Each refusal of a token by the vault: the same reason and advice in `doctor`, `probe`, `explain` and the alerts."""

import re
from pathlib import Path

import pytest
import yaml

from exporter.core.checks import CheckOutcome
from exporter.core.codes.actions import Names, actions
from exporter.core.codes.explain import explain
from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.core.faults import Reason
from exporter.core.model import CredentialKind
from exporter.simulator.scenarios import BY_NAME
from tests.support.doctor_simulated import VAULT

RULES = Path(__file__).parents[3] / "alerts" / "ekm.rules.yml"
REFUSALS = {
    "vault_token_unknown": (Reason.TOKEN_REJECTED, 3010),
    "vault_token_expired": (Reason.TOKEN_EXPIRED, 3010),
    "vault_token_revoked": (Reason.TOKEN_REVOKED, 3010),
    "vault_token_signature": (Reason.TOKEN_UNVERIFIABLE, 3010),
    "vault_token_audience": (Reason.TOKEN_WRONG_AUDIENCE, 3305),
    "vault_token_issuer": (Reason.TOKEN_WRONG_ISSUER, 3305),
}


def plain(text):
    """Return the words of an action without its commands, which each output fills in."""
    return " ".join(re.sub(r"`[^`]*`", "", text).split()).rstrip(":. ")


@pytest.mark.parametrize("fault", REFUSALS)
async def test_doctor_gives_the_advice_of_the_reason(harness, fault):
    reason, code = REFUSALS[fault]
    harness.simulator.set_fault(fault, vault=VAULT)
    result = (await harness.results())["audience"]
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, code)
    assert result.detail.startswith(f"{reason.replace('_', ' ')} (HTTP 401")
    sentences = [plain(line) for line in result.fix if not line.startswith("  ")]
    wanted = [plain(each) for each in reason.row.actions if each != DO_NOT_RESTART and "ekm-exporter probe" not in each]
    assert sentences == wanted


@pytest.mark.parametrize(("reason", "code"), REFUSALS.values())
def test_explain_and_alerts_have_the_advice_of_the_reason(reason, code):
    found = explain(str(reason))
    assert found.actions == reason.row.actions
    assert [row.code for row in found.rows] == [code]
    assert reason.row.text[1:] in found.summary
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    actions = {rule["labels"]["reason"]: rule["labels"]["action"] for rule in rules if rule.get("labels", {}).get("reason")}
    assert plain(actions[reason]) == plain(reason.row.actions[0])


# Scenarios whose advice depends on the reason or the step: each output must begin with the same action.
SCENARIOS = (
    "secret_wrong",
    "credentials_refused",
    "certificate_unknown",
    "certificate_expired",
    "refusal_unknown",
    "number_unknown",
    "tenant_blocked",
    "tenant_restricted",
    "outdated_tls",
    "clock_skew",
    "application_unknown",
    "application_disabled",
    "tenant_unknown",
    "wrong_cloud",
    "conditional_access",
    "entra_transient",
    "sign_in_forbidden",
    "sign_in_throttled",
    "token_redirected",
    "vault_tls_untrusted",
    "vault_tls_wrong_name",
    "challenge_garbage",
    "challenge_redirected",
    "no_challenge",
    "foreign_authority",
    "firewall",
    "private_only",
    "nsp_forbidden",
    "role_removed",
    "get_forbidden",
    "key_soft_deleted",
    "key_disabled_unwrap",
    "operation_by_sentence",
    "text_forbidden",
    "conflict",
    "throttled",
    "other_bytes",
)


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_doctor_begins_with_the_action_of_page_and_probe(harness, scenario):
    harness.simulator.apply(scenario, vault=VAULT)
    results = [each for each in (await harness.results()).values() if each.outcome is CheckOutcome.FAIL]
    row = BY_NAME[scenario]
    names = Names(target="t", vault=VAULT, key="K", version="v", kind=CredentialKind.CLIENT_SECRET)
    first = actions(row.classic, row.reason, ready=False, names=names, step=row.step)[0]
    assert plain(results[0].fix[0]) in plain(first)
    assert [line for line in results[0].fix if re.search(r"\b(?:VAULT|KEY|TARGET|HOST|CLIENT_ID|VERSION)\b", line)] == []


async def test_private_address_of_a_refusal_gets_no_ip_rule(harness):
    harness.simulator.apply("firewall_private", vault=VAULT)
    fix = "\n".join((await harness.results())["firewall"].fix)
    assert "10.20.30.40" in fix
    assert "--subnet SUBNET_ID" in fix
    assert "--ip-address" not in fix


def test_refusals_have_texts_of_their_own():
    reasons = [reason for reason, _ in REFUSALS.values()]
    assert len({reason.row.text for reason in reasons}) == len({reason.row.actions for reason in reasons}) == len(reasons)


async def test_other_tenant_has_the_codes_of_sql_server_and_of_the_probe(harness):
    harness.simulator.apply("vault_in_other_tenant", vault=VAULT)
    result = (await harness.results())["tenant"]
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, 3128)
    assert result.detail.endswith("so it shows 3305")
