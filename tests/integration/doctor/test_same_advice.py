"""Each refusal of a token by the vault: the same reason and advice in `doctor` and `explain`."""

import pytest

from exporter.knowledge.checks_vault import CheckOutcome
from exporter.knowledge.reasons import Reason
from tests.support.doctor_simulated import VAULT

REFUSALS = {
    "vault_token_unknown": (Reason.TOKEN_REJECTED, 3010),
    "vault_token_expired": (Reason.TOKEN_EXPIRED, 3010),
    "vault_token_revoked": (Reason.TOKEN_REVOKED, 3010),
    "vault_token_signature": (Reason.TOKEN_UNVERIFIABLE, 3010),
    "vault_token_audience": (Reason.TOKEN_WRONG_AUDIENCE, 3305),
    "vault_token_issuer": (Reason.TOKEN_WRONG_ISSUER, 3305),
}


@pytest.mark.parametrize("fault", REFUSALS)
async def test_doctor_gives_the_advice_of_the_reason(harness, fault):
    reason, code = REFUSALS[fault]
    harness.simulator.set_fault(fault, vault=VAULT)
    result = (await harness.results())["audience"]
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, code)
    assert result.detail.startswith(f"{reason.replace('_', ' ')} (HTTP 401")
    assert result.fix[0].rstrip(":") in reason.row.actions[0]


async def test_private_address_of_a_refusal_gets_no_ip_rule(harness):
    harness.simulator.apply("firewall_private", vault=VAULT)
    fix = "\n".join((await harness.results())["firewall"].fix)
    assert "10.20.30.40" in fix
    assert "--subnet SUBNET_ID" in fix
    assert "--ip-address" not in fix


async def test_other_tenant_has_the_codes_of_sql_server_and_of_the_probe(harness):
    harness.simulator.apply("vault_in_other_tenant", vault=VAULT)
    result = (await harness.results())["tenant"]
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, 3128)
    assert result.detail.endswith("so it shows 3305")
