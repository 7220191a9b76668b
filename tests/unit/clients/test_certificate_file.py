"""Certificate files: each defect has its own fault."""

import pytest

from exporter.clients.certificate_file import load_certificate
from exporter.core.faults import Fault


def test_good_files_load_with_and_without_a_password(principal):
    for name, content, password in principal.good():
        loaded = load_certificate(content, password)
        assert loaded.fault is Fault.NONE, name
        assert b"PRIVATE KEY" in loaded.pem
        assert b"PRIVATE KEY" not in repr(loaded).encode()


def test_needless_password_is_ignored(principal):
    assert load_certificate(principal.pem(), "needless").fault is Fault.NONE


@pytest.mark.parametrize(
    ("make", "password", "fault"),
    [
        (lambda p: p.pfx(b"right"), "wrong", Fault.PFX_UNREADABLE),
        (lambda p: p.pfx(b"right"), None, Fault.PFX_UNREADABLE),
        (lambda p: p.pfx(b"right")[:200], "right", Fault.PFX_UNREADABLE),
        (lambda _p: b"\x00\x01nonsense", None, Fault.PFX_UNREADABLE),
        (lambda _p: b"", None, Fault.PFX_UNREADABLE),
        (lambda p: p.pfx(None, certificate=False), None, Fault.PFX_NO_CERTIFICATE),
        (lambda p: p.pfx(None, key=False), None, Fault.PFX_NO_PRIVATE_KEY),
        (lambda p: p.elliptic_pfx(), None, Fault.PFX_NOT_RSA),
        (lambda p: p.key_pem(), None, Fault.PEM_NO_CERTIFICATE),
        (lambda p: p.certificate_pem(), None, Fault.PEM_NO_PRIVATE_KEY),
        (lambda p: p.certificate_pem() + p.elliptic_key_pem(), None, Fault.PEM_NOT_RSA),
        (lambda p: p.certificate_pem() + p.key_pem(b"right"), "wrong", Fault.PEM_KEY_UNUSABLE),
        (lambda p: p.certificate_pem() + p.key_pem(b"right"), None, Fault.PEM_KEY_UNUSABLE),
        (lambda p: p.certificate_pem()[:300] + p.key_pem(), None, Fault.PEM_NO_CERTIFICATE),
        (lambda p: p.certificate_pem() + p.other_key_pem(), None, Fault.PEM_KEY_UNUSABLE),
        (lambda p: p.certificate_pem() + p.key_pem()[:300], None, Fault.PEM_KEY_UNUSABLE),
    ],
)
def test_unusable_certificate_file_has_its_own_fault(principal, make, password, fault):
    loaded = load_certificate(make(principal), password)
    assert loaded.fault is fault
    assert loaded.pem is None
