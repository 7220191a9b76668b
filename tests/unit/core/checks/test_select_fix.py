"""The fix of a check by outcome and reason, with the names of the target."""

import pytest

from exporter.core.checks.fixes import UNKNOWN, WARNED
from exporter.core.checks.fixes_sign_in import prove_and_switch_to, switch_to
from exporter.core.checks.model import CheckOutcome, CheckResult, CheckRun
from exporter.core.checks.routing import owner_of
from exporter.core.checks.select_fix import Words, filled, remedy
from exporter.core.faults import Reason
from exporter.core.model import CredentialKind, Step

WORDS = Words(vault="contoso.vault.azure.net:8443", entra="login.microsoftonline.com", key="K0", version=None, again="again")
HSM = Words(vault="contoso.managedhsm.azure.net", entra="login.microsoftonline.com", key="K0", version="v", again="again")


@pytest.mark.parametrize(
    ("step", "reason", "check"),
    [
        (Step.GET_KEY, None, "vault_answers"),
        (Step.CHALLENGE, Reason.DNS_NOT_FOUND, "dns_vault"),
        (Step.TOKEN, Reason.TLS_EXPIRED, "tls_entra"),
        (Step.WRAP_KEY, Reason.FORBIDDEN_RBAC, "permission_wrap"),
        (Step.CHALLENGE, Reason.FORBIDDEN_FIREWALL, "challenge"),
        (Step.UNWRAP_KEY, Reason.KEY_NOT_FOUND, "vault_answers"),
    ],
)
def test_a_failure_belongs_to_the_check_of_its_reason_or_of_its_step(step, reason, check):
    assert owner_of(step, reason) == check


@pytest.mark.parametrize("check", sorted(UNKNOWN))
def test_an_unknown_outcome_has_the_lines_of_its_check(check):
    assert remedy(check, CheckOutcome.UNKNOWN, Reason.FORBIDDEN_RBAC, WORDS) == filled(UNKNOWN[check], WORDS)


@pytest.mark.parametrize("check", sorted(WARNED))
def test_a_warning_has_the_lines_of_its_check(check):
    assert remedy(check, CheckOutcome.WARN, Reason.FORBIDDEN_RBAC, WORDS) == filled(WARNED[check], WORDS)


def test_a_staged_credential_is_tested_before_the_switch():
    _, test, *_, last = filled(prove_and_switch_to("sql-2027", CredentialKind.CLIENT_SECRET), WORDS)
    assert test == "  again --credential sql-2027"
    assert "`credential: sql-2027`" in last


def test_names_are_filled_in_and_unknown_ones_stay_capital_words():
    lines = ("az keyvault show --name VAULT_NAME --query KEY_NAME/KEY_VERSION CLIENT_ID",)
    assert filled(lines, WORDS) == ("az keyvault show --name contoso --query K0/KEY_VERSION CLIENT_ID",)
    assert filled(lines, HSM) == ("az keyvault show --hsm-name contoso --query K0/v CLIENT_ID",)


def test_the_switch_to_a_staged_credential_names_it_twice():
    first, *_, last = switch_to("sql-2027", CredentialKind.CLIENT_SECRET)
    assert "The staged credential sql-2027 is usable." in first
    assert "`credential: sql-2027`" in last


@pytest.mark.parametrize("switch", [switch_to, prove_and_switch_to])
@pytest.mark.parametrize("kind", [kind for kind in CredentialKind if not kind.has_secret])
def test_switch_to_a_staged_certificate_gives_sql_server_nothing(switch, kind):
    lines = " ".join(switch("cert-2027", kind))
    assert "SECRET" not in lines
    assert "secret" not in lines
    assert "`credential: cert-2027`" in lines


def test_only_a_failed_check_counts_as_failed():
    results = tuple(CheckResult(check=outcome, outcome=outcome, detail="") for outcome in CheckOutcome)
    assert [result.check for result in CheckRun(at=0.0, results=results).failed] == ["fail"]
