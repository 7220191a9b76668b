"""Certificate files: each defect has its own fault."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from exporter.clients.certificates import load_certificate
from exporter.core.values import Fault


def test_good_files_load_with_and_without_a_password(principal):
    for name, content, password in principal.good():
        loaded = load_certificate(content, password)
        assert loaded.fault is Fault.NONE, name
        assert loaded.signer.certificate == principal.certificate
        assert loaded.signer.key.private_numbers() == principal.key.private_numbers()
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
    assert (loaded.fault, loaded.detail, loaded.signer) == (fault, detail, None)


def test_chain_that_starts_with_an_authority_names_the_leaf(principal, authority):
    chain = authority.certificate.public_bytes(Encoding.PEM) + principal.certificate_pem()
    loaded = load_certificate(chain + principal.key_pem(), None)
    assert loaded.fault is Fault.PEM_KEY_UNUSABLE
    assert loaded.detail == "the first certificate is that of the authority CN=Test CA; the key belongs to certificate 2 of 2"
