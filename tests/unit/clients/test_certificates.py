"""Certificate files: each defect has its own fault; keys that are kept; the assertion of a certificate."""

import base64
import gc
import json
import ssl
import threading
import weakref
from urllib.parse import parse_qs

import pytest
from azure.identity.aio import CertificateCredential
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.clients.certificates import PS256, SHA256, load_certificate, make_assertion
from exporter.clients.entra import fetch_token
from exporter.clients.http.exchange import TRANSPORT
from exporter.clients.http.network import split_url
from exporter.config.settings import Credential, SecretSource
from exporter.core.values import Challenge, CredentialKind, Fault
from exporter.probing import secrets
from exporter.probing.secrets import SecretCache
from tests.support.tls_server import ENTRA, TENANT, TOKEN, response, until
from tests.support.web_server import until as eventually

# Certificate files: each defect has its own fault.


def test_good_files_load_with_and_without_a_password(principal):
    for name, content, password in principal.good():
        loaded = load_certificate(content, password)
        assert loaded.fault is Fault.NONE, name
        assert loaded.certificate == principal.certificate
        assert loaded.key.private_numbers() == principal.key.private_numbers()
        assert "key" not in repr(loaded).lower()


def test_needless_password_is_ignored(principal):
    assert load_certificate(principal.pem(), "needless").fault is Fault.NONE


@pytest.mark.parametrize(
    ("make", "password", "fault", "detail"),
    [
        (lambda p: p.pfx(b"right"), "wrong", Fault.PFX_UNREADABLE, "the file is damaged, or the password is wrong"),
        (lambda p: p.pfx(b"right"), None, Fault.PFX_UNREADABLE, "the file is damaged, or it needs a password and none is configured"),
        (lambda p: p.pfx(b"right")[:200], "right", Fault.PFX_UNREADABLE, "the file is damaged, or the password is wrong"),
        (lambda _p: b"\x00\x01nonsense", None, Fault.PFX_UNREADABLE, "the file does not start as a PFX file does"),
        (lambda _p: b"", None, Fault.PFX_UNREADABLE, "the file is empty"),
        (lambda p: p.pfx(None, certificate=False), None, Fault.PFX_NO_CERTIFICATE, "an RSA key of 2048 bits and no certificate"),
        (lambda p: p.pfx(None, key=False), None, Fault.PFX_NO_PRIVATE_KEY, "a certificate and no private key"),
        (lambda p: p.elliptic_pfx(), None, Fault.PFX_NOT_RSA, "an EC key (secp256r1)"),
        (lambda p: p.key_pem(), None, Fault.PEM_NO_CERTIFICATE, "1 x PRIVATE KEY; no readable certificate"),
        (lambda p: p.certificate_pem() * 2, None, Fault.PEM_NO_PRIVATE_KEY, "2 x CERTIFICATE; no private key"),
        (lambda p: p.certificate_pem() + p.elliptic_key_pem(), None, Fault.PEM_NOT_RSA, "an EC key (secp256r1)"),
        (lambda p: p.certificate_pem() + p.key_pem(b"a"), "b", Fault.PEM_KEY_UNUSABLE, "the password does not open the key"),
        (lambda p: p.certificate_pem() + p.key_pem(b"right"), None, Fault.PEM_KEY_UNUSABLE, "the key is encrypted, and no password is configured"),
        (lambda p: p.certificate_pem()[:300] + p.key_pem(), None, Fault.PEM_NO_CERTIFICATE, "1 x CERTIFICATE, 1 x PRIVATE KEY; no readable certificate"),
        (lambda p: p.certificate_pem() + p.other_key_pem(), None, Fault.PEM_KEY_UNUSABLE, "the first certificate is CN=principal; the key belongs to no certificate in the file"),
        (lambda p: p.certificate_pem() + p.key_pem()[:300], None, Fault.PEM_KEY_UNUSABLE, "the key block is damaged, or its format is not supported"),
    ],
)  # fmt: skip
def test_unusable_certificate_file_has_its_fault_and_detail(principal, make, password, fault, detail):
    loaded = load_certificate(make(principal), password)
    assert (loaded.fault, loaded.detail, loaded.key) == (fault, detail, None)


def test_chain_that_starts_with_an_authority_names_the_leaf(principal, authority):
    chain = authority.certificate.public_bytes(Encoding.PEM) + principal.certificate_pem()
    loaded = load_certificate(chain + principal.key_pem(), None)
    assert loaded.fault is Fault.PEM_KEY_UNUSABLE
    assert loaded.detail == "the first certificate is that of the authority CN=Test CA; the key belongs to certificate 2 of 2"


CURVE, UNKNOWN_CURVE = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d030106")
VERSION, UNKNOWN_VERSION = bytes.fromhex("a003020102"), bytes.fromhex("a003020105")


def altered(certificate, old, new):
    """The PEM of a certificate with other bytes."""
    der = certificate.public_bytes(Encoding.DER)
    assert old in der
    return ssl.DER_cert_to_PEM_cert(der.replace(old, new, 1)).encode()


@pytest.mark.parametrize(("old", "new"), [(CURVE, UNKNOWN_CURVE), (VERSION, UNKNOWN_VERSION)], ids=["key", "version"])
def test_unsupported_certificate_after_the_first_changes_nothing(principal, authority, old, new):
    loaded = load_certificate(principal.pem() + altered(authority.certificate, old, new), None)
    assert (loaded.fault, loaded.certificate) == (Fault.NONE, principal.certificate)


def test_certificate_with_an_unsupported_key_has_its_fault_and_its_expiry(principal):
    """An expiry needs no key."""
    pem = altered(principal.elliptic_certificate, CURVE, UNKNOWN_CURVE)
    loaded = load_certificate(pem + principal.key_pem(), None)
    assert (loaded.fault, loaded.key) == (Fault.PEM_KEY_UNUSABLE, None)
    assert loaded.certificate.not_valid_after_utc == principal.elliptic_certificate.not_valid_after_utc


def test_certificate_of_an_unknown_version_is_unreadable(principal):
    loaded = load_certificate(altered(principal.certificate, VERSION, UNKNOWN_VERSION) + principal.key_pem(), None)
    assert loaded.fault is Fault.PEM_NO_CERTIFICATE


# A private key is read once, on a thread, and forgotten when its file, password or credential changes.


class StandIn:
    """In place of a certificate with its key, which has no weak references."""


class KeyFile:
    """A credential with a certificate file, and the cache that reads it."""

    def __init__(self, cache, path):
        self.path = path
        self.now, self.cache = 100.0, cache
        self.credential = Credential(
            name="c",
            kind=CredentialKind.CLIENT_CERTIFICATE,
            certificate_file=path,
            password=SecretSource(env="EKM_TEST_SECRET"),
        )

    async def read_later(self):
        self.now += 5
        return await self.cache.current(self.credential)


@pytest.fixture
def kept(pool, principal, tmp_path, monkeypatch):
    monkeypatch.setenv("EKM_TEST_SECRET", "first")
    made = KeyFile(SecretCache(pool, clock=lambda: made.now), tmp_path / "principal.pem")
    made.path.write_bytes(principal.pem())
    return made


async def test_key_is_read_once_on_a_thread(kept, principal, monkeypatch):
    threads = []
    monkeypatch.setattr(
        secrets, "load_certificate", lambda *given: threads.append(threading.current_thread()) or load_certificate(*given)
    )
    first = await kept.read_later()
    assert await kept.read_later() is first
    assert first.proof.certificate == principal.certificate
    assert len(threads) == 1
    assert threads[0] is not threading.current_thread()


@pytest.mark.parametrize("change", ["file", "password", "removed", "reload"])
async def test_changed_or_removed_key_is_not_kept(kept, monkeypatch, change):
    monkeypatch.setattr(secrets, "load_certificate", lambda *_: StandIn())
    key = weakref.ref((await kept.read_later()).certificate)
    assert key() is not None
    match change:
        case "file":
            kept.path.write_bytes(kept.path.read_bytes() + b"\n")
        case "password":
            monkeypatch.setenv("EKM_TEST_SECRET", "second")
        case "removed":
            kept.path.unlink()
    if change == "reload":
        kept.cache.keep_only([])
    else:
        await kept.read_later()

    def is_gone():  # once the thread has left the frame that read it
        gc.collect()
        return key() is None

    await eventually(is_gone)


# The assertion of a certificate: what azure-identity would send, also for AD FS.

CLIENT = "66666666-7777-8888-9999-aaaaaaaaaaaa"
AUTHORITY = f"https://{ENTRA}"
CREDENTIAL = Credential(name="c", kind=CredentialKind.CLIENT_CERTIFICATE, client_id=CLIENT)


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts_of(assertion):
    header, claims, _ = map(decoded, assertion.split("."))
    return json.loads(header), json.loads(claims)


def unlike_each_time(claims):
    return {**claims, "jti": "", "nbf": 0, "exp": claims["exp"] - claims["nbf"]}


@pytest.mark.parametrize("tenant", [TENANT, "adfs"])
async def test_assertion_is_that_of_azure_identity(serve, network_to, principal, tenant):
    wire = await serve(lambda _request: response(200, {"access_token": TOKEN, "expires_in": 1}, Content_Type="application/json"))
    challenge = Challenge(authority=AUTHORITY, tenant=tenant, resource="https://vault.azure.net")
    await fetch_token(
        network_to(entra=wire), CREDENTIAL, load_certificate(principal.pem(), None), challenge, deadline=until(10.0)
    )
    connection = network_to(entra=wire).connection(*split_url(ENTRA))

    async def get_token():
        options = {"transport": TRANSPORT, "authority": AUTHORITY}
        credential = CertificateCredential(tenant, CLIENT, certificate_data=principal.pem(), **options)
        await credential.get_token("https://vault.azure.net/.default")

    await connection.exchange(get_token, deadline=until(10.0))
    await connection.close()
    own, theirs = (parts_of(parse_qs(request.body.decode())["client_assertion"][0]) for request in wire.requests[-2:])
    assert own[0] == theirs[0]
    assert unlike_each_time(own[1]) == unlike_each_time(theirs[1])
    assert wire.requests[0].target == wire.requests[-1].target == f"/{tenant}/oauth2/v2.0/token"


@pytest.mark.parametrize(("tenant", "scheme"), [(TENANT, PS256), ("adfs", PKCS1v15()), ("ADFS", PKCS1v15())])
def test_assertion_is_signed_by_the_key(principal, tenant, scheme):
    assertion = make_assertion(principal.key, principal.certificate, authority=AUTHORITY, tenant=tenant, client_id=CLIENT)
    signed, _, signature = assertion.rpartition(".")
    principal.key.public_key().verify(decoded(signature), signed.encode(), scheme, SHA256)


def test_two_assertions_differ(principal):
    first, second = (
        make_assertion(principal.key, principal.certificate, authority=AUTHORITY, tenant=TENANT, client_id=CLIENT)
        for _ in range(2)
    )
    assert first != second
