"""What is collected: revocation URLs that a client can use, and addresses without search domains."""

import asyncio
import datetime as dt
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exporter.clients.http.network import Resolver
from exporter.doctor.collect import addresses_of, host_of, read_certificate
from exporter.runtime.tasks import DaemonThreadPool


def certificate_with(url):
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "contoso.vault.azure.net")])
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    dated = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=1))
    signed = dated.add_extension(x509.CRLDistributionPoints([point]), critical=False).sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://crl.example/a.crl", True),
        ("http://crl.example:8080/a.crl", True),
        ("http://crl.example:59999", True),
        ("http://crl.example:65536/a.crl", False),
        ("http://crl.example:99999/a.crl", False),
        ("http://user@crl.example/a.crl", False),
        ("http://crl.example/a b", False),
        ("ldap://crl.example/a", False),
    ],
)
def test_revocation_url_that_cannot_be_requested_is_ignored(url, used):
    found = read_certificate(certificate_with(url))
    assert found.revocation == ((url,) if used else ())
    assert [host_of(one) for one in found.revocation] == (["crl.example"] if used else [])


@pytest.mark.parametrize(
    ("host", "error", "expected"),
    [
        ("contoso.vault.azure.net", None, ("10.0.0.1",)),
        ("contoso.vault.azure.net", socket.EAI_NONAME, ()),
        ("contoso.vault.azure.net", socket.EAI_AGAIN, None),
        ("", None, None),
    ],
)
async def test_absolute_name_is_looked_up_with_a_final_dot(monkeypatch, host, error, expected):
    names = []

    def look_up(name, *_args, **_options):
        names.append(name)
        if error is not None:
            raise socket.gaierror(error, "x")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    pool = DaemonThreadPool(1, name="test-absolute")
    name = f"{host}." if host else ""
    found = await addresses_of(Resolver(pool, {}), name, 443, deadline=asyncio.get_running_loop().time() + 5)
    pool.close()
    assert found == expected
    assert names == ([name] if name else [])
