"""Describe the content of a certificate file, for the detail of a fault.

No text contains a part of a key or password.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_DER_SEQUENCE = b"\x30"


def pem_blocks(data: bytes) -> str:
    """Return the blocks of a PEM file: `2 x CERTIFICATE, 1 x PRIVATE KEY`."""
    counts = Counter(name.decode("ascii") for name in _BLOCK.findall(data))
    return ", ".join(f"{count} x {name}" for name, count in counts.items()) or "no block"


def pem_certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates of a PEM file; none if one of them is unreadable."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        return []


def unopened_key(data: bytes, password: bytes | None) -> str:
    """Return why the private key of a PEM file does not load."""
    if b"ENCRYPTED" not in data:
        return "the key block is damaged, or its format is not supported"
    return "the key is encrypted, and no password is configured" if password is None else "the password does not open the key"


def unopened_pfx(data: bytes, password: bytes | None) -> str:
    """Return why a PFX file does not open."""
    if not data.startswith(_DER_SEQUENCE):
        return "the file is empty" if not data else "the file does not start as a PFX file does"
    if password is None:
        return "the file is damaged, or it needs a password and none is configured"
    return "the file is damaged, or the password is wrong"


def key_type(key: object) -> str:
    """Return type and size of a private key."""
    if isinstance(key, RSAPrivateKey):
        return f"an RSA key of {key.key_size} bits"
    if isinstance(key, EllipticCurvePrivateKey):
        return f"an EC key ({key.curve.name})"
    return f"a key of type {type(key).__name__.strip('_')}"


def owner_of_key(key: object, certificates: Sequence[x509.Certificate]) -> str:
    """Return which certificate of the file the private key belongs to."""
    numbers = [number for number, each in enumerate(certificates, 1) if same_key(each, key)]
    first = f"the first certificate is {_subject(certificates[0])}" if certificates else "the file has no certificate"
    if not numbers:
        return f"{first}; the key belongs to no certificate in the file"
    return f"{first}; the key belongs to certificate {numbers[0]} of {len(certificates)}"


def same_key(certificate: x509.Certificate, key: object) -> bool:
    """Return whether the private key is that of the certificate."""
    public = getattr(key, "public_key", None)
    return public is not None and _public(certificate.public_key()) == _public(public())


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    return encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) if encode is not None else b""


def _subject(certificate: x509.Certificate) -> str:
    name = certificate.subject.rfc4514_string()[:80]
    return f"that of the authority {name}" if _is_authority(certificate) else name


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (x509.ExtensionNotFound, ValueError):
        return False
