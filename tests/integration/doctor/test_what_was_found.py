"""Faults of certificate, secret file and key id name the cause in `doctor`."""

import pytest

from exporter.core.values import CredentialKind, Step
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.simulator.faults import Options
from tests.support.doctor_simulated import CLIENT, VAULT
from tests.support.tls_server import Authority, Principal
from tests.support.values import replace

SECRET_NAMES = ("BEGIN", "PRIVATE KEY-----")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def principal(authority):
    return Principal(authority)


async def test_certificate_fault_describes_the_file(harness, principal):
    file = harness.folder / "principal"
    file.write_bytes(principal.certificate_pem() + principal.elliptic_key_pem())
    harness.credential = replace(harness.credential, kind=CredentialKind.CLIENT_CERTIFICATE, certificate_file=file, secret=None)
    result = (await harness.results())["token"]
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, 3817)
    assert result.detail.startswith("certificate unusable: an EC key (secp256r1)")
    assert not any(name in result.detail for name in SECRET_NAMES)


@pytest.mark.parametrize(
    ("fault", "found"), [("kid_unusable", "kid is 'keys/only', kty is 'RSA'"), ("kid_blank", "kid is '', kty is 'RSA'")]
)
async def test_unusable_key_id_is_quoted(harness, fault, found):
    harness.simulator.set_fault(fault, vault=VAULT)
    result = (await harness.results())["vault_answers"]
    assert result.outcome is CheckOutcome.FAIL
    if fault == "kid_unusable":
        assert result.code == 3412
    assert found in result.detail


async def test_unreadable_secret_file_is_named_with_rights_and_account(harness):
    harness.secret_file.unlink()
    result = (await harness.results())["secret"]
    assert result.outcome is CheckOutcome.FAIL
    assert str(harness.secret_file) in result.detail
    advice = " ".join(result.fix)
    assert "service account" in advice
    assert "TLS" not in advice


async def test_generic_refusal_of_the_vault_shows_its_sentence(harness):
    body = f'{{"error": {{"code": "Forbidden", "message": "A new rule refuses appid={CLIENT}."}}}}'
    harness.simulator.set_fault("status", Options(status=403, body=body, step=Step.GET_KEY), vault=VAULT)
    result = (await harness.results())["permission_get"]
    assert result.detail == "forbidden (HTTP 403): A new rule refuses appid=<id>."


async def test_sentence_without_an_inner_code_decides_the_reason(harness):
    body = '{"error": {"code": "Forbidden", "message": "Operation get is not allowed on a disabled key."}}'
    harness.simulator.set_fault("status", Options(status=403, body=body, step=Step.GET_KEY), vault=VAULT)
    failed = [
        each for each in (await harness.results()).values() if each.outcome is CheckOutcome.FAIL and "key disabled" in each.detail
    ]
    assert failed
