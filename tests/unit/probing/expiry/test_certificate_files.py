"""Certificate expiry from each kind of certificate file."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from exporter.clients.certificates import read_public_part
from exporter.core.values import Fault
from tests.support.expiry_simulated import PASSWORD, by_source


@pytest.fixture
def not_after(principal):
    return float(int(principal.certificate.not_valid_after_utc.timestamp()))


def forget_what_was_read(monitor):
    """Empty the secret cache, which keeps a secret for one second."""
    monitor._lookup._secrets.keep_only(())


def renewed(authority, principal, days):
    """The same key in a newer certificate, as PFX with the harness's password."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
    start = datetime.now(UTC)
    certificate = authority._sign(name, principal.key.public_key(), start, start + timedelta(days=days))
    lock = serialization.BestAvailableEncryption(PASSWORD.encode())
    content = pkcs12.serialize_key_and_certificates(b"principal", principal.key, certificate, None, lock)
    return content, float(int(certificate.not_valid_after_utc.timestamp()))


def test_readable_files_have_expiry_and_thumbprint(principal, not_after):
    thumbprint = principal.certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - how Entra names it
    for name, content, password in principal.good():
        fault, part = read_public_part(content, password)
        assert (fault, part.not_after, part.thumbprint) == (Fault.NONE, not_after, thumbprint), name


def test_pem_expiry_needs_no_readable_key(principal, not_after):
    locked = principal.certificate_pem() + principal.key_pem(b"right")
    assert read_public_part(locked, "wrong")[1].not_after == not_after
    assert read_public_part(principal.certificate_pem(), None)[1].not_after == not_after
    assert read_public_part(principal.elliptic_pfx(), None)[0] is Fault.NONE


def test_first_certificate_of_a_pem_counts(principal, authority, not_after):
    chain = principal.pem() + authority.certificate.public_bytes(serialization.Encoding.PEM)
    assert read_public_part(chain, None)[1].not_after == not_after


@pytest.mark.parametrize(
    ("make", "password", "fault"),
    [
        (lambda principal: principal.pfx(b"right"), "wrong", Fault.PFX_UNREADABLE),
        (lambda principal: principal.pfx(b"right"), None, Fault.PFX_UNREADABLE),
        (lambda principal: principal.pfx(None, certificate=False), None, Fault.PFX_NO_CERTIFICATE),
        (lambda principal: principal.key_pem(), None, Fault.PEM_NO_CERTIFICATE),
        (lambda _principal: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", None, Fault.PEM_NO_CERTIFICATE),
        (lambda _principal: b"", None, Fault.PFX_UNREADABLE),
        (lambda _principal: os.urandom(64), None, Fault.PFX_UNREADABLE),
    ],
)
def test_unreadable_certificate_has_a_fault(principal, make, password, fault):
    assert read_public_part(make(principal), password) == (fault, None)


async def test_wrong_password_keeps_the_last_expiry(harness, not_after):
    monitor = harness.monitor()
    await monitor.look_up("cert")
    harness.write("password", "another-password")
    forget_what_was_read(monitor)
    expiry = by_source(await monitor.look_up("cert"))["certificate"]
    assert (expiry.expires_at, expiry.failure) == (not_after, "the certificate file: pfx unreadable")
    assert PASSWORD not in expiry.failure


async def test_wrong_password_from_the_start_gives_no_expiry(set_up):
    harness = await set_up()
    harness.write("password", "another-password")
    expiries = by_source(await harness.monitor().look_up("cert"))
    assert {(expiry.expires_at, expiry.looked_up_at) for expiry in expiries.values()} == {(None, None)}
    assert not harness.simulator.requests


async def test_missing_file_keeps_the_last_expiry(harness, not_after):
    monitor = harness.monitor()
    await monitor.look_up("cert")
    (harness.folder / "sp.pfx").unlink()
    forget_what_was_read(monitor)
    expiry = by_source(await monitor.look_up("cert"))["certificate"]
    assert expiry.expires_at == not_after
    assert "the secret cannot be read" in expiry.failure


async def test_renewed_certificate_is_found_by_the_next_lookup(harness, principal, authority, not_after):
    monitor = harness.monitor()
    assert by_source(await monitor.look_up("cert"))["certificate"].expires_at == not_after
    content, later = renewed(authority, principal, days=300)
    harness.write("sp.pfx", content)
    forget_what_was_read(monitor)
    expiries = by_source(await monitor.look_up("cert"))
    assert expiries["certificate"].expires_at == later
    assert "does not list the configured certificate" in expiries["graph"].failure
