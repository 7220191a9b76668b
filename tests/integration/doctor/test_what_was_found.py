"""Faults of certificate, secret file and key id name the cause in `doctor`."""

import pytest

from exporter.core.values import CredentialKind
from exporter.knowledge.checks_vault import CheckOutcome
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


async def test_unreadable_secret_file_is_named_with_rights_and_account(harness):
    harness.secret_file.unlink()
    result = (await harness.results())["secret"]
    assert result.outcome is CheckOutcome.FAIL
    assert str(harness.secret_file) in result.detail
    advice = " ".join(result.fix)
    assert "service account" in advice
    assert "TLS" not in advice
