"""Values of a web configuration, and which of them Python does not support.

A setting that OpenSSL or Python cannot apply is refused with an alternative; none is ignored.
"""

from __future__ import annotations

import math
import re
from ssl import TLSVersion
from typing import Any

from exporter.config.yaml import FieldType, Location, Mapping, Node, Type, report_wrong_type, types, unique_keys
from exporter.core.suggestions import nearest

# The secure suites of TLS 1.2: Go's names and OpenSSL's.
SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
}
# Always offered with TLS 1.3, as in Go: listing them has no effect.
SUITES_OF_1_3 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

_VERSIONS = {"TLS12": TLSVersion.TLSv1_2, "TLS13": TLSVersion.TLSv1_3}
_VERIFIED = "RequireAndVerifyClientCert"
# Client certificates: not requested, optional, required.
_CLIENT_AUTH = {"NoClientCert": None, "VerifyClientCertIfGiven": False, _VERIFIED: True}
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
# The last character of the salt has four bits that must be 0.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_GO_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_PART = re.compile(rf"([0-9]{{1,9}}(?:\.[0-9]{{0,9}})?|\.[0-9]{{1,9}})({'|'.join(sorted(_GO_UNITS, key=len, reverse=True))})")
_LONGEST_INTERVAL = 86400.0


def _version(word: str) -> TLSVersion:
    if word in ("TLS10", "TLS11"):
        raise ValueError("OpenSSL refuses TLS 1.0 and 1.1: write TLS12 or TLS13")
    if word not in _VERSIONS:
        raise ValueError("expected TLS12 or TLS13")
    return _VERSIONS[word]


def _client_auth(word: str) -> tuple[bool | None]:
    if word in _UNVERIFIED:
        raise ValueError(f"Python cannot request a certificate without verifying it: write {_VERIFIED}")
    if word not in _CLIENT_AUTH:
        raise ValueError(f"expected one of {', '.join(_CLIENT_AUTH)}{nearest(word, list(_CLIENT_AUTH))}")
    return (_CLIENT_AUTH[word],)  # a tuple, because a bare None means an invalid value


def _http2(word: str) -> bool:
    if word.lower() in ("true", "yes", "on", "y"):
        raise ValueError("only HTTP/1.1 is supported: write false, or omit the key")
    return False


def _pem(text: str) -> bytes:
    if "-----BEGIN " not in text:
        raise ValueError("expected PEM: a block that starts with -----BEGIN")
    return text.encode()


def _interval(text: str) -> float:
    """Parse a Go duration (`1.5s`, `1m30s`) into seconds; 0 needs no unit."""
    parts = _GO_PART.findall(text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError("expected a duration with a unit, such as 1s or 100ms, or 0")
    seconds = math.fsum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    if seconds > _LONGEST_INTERVAL:
        raise ValueError("expected at most 24h")
    return seconds


def _hash(word: str) -> str:
    if word.startswith("$2x$"):
        raise ValueError("a hash of type $2x$ comes from a faulty bcrypt: hash the password again")
    if not _BCRYPT.fullmatch(word):
        raise ValueError("expected the bcrypt hash of a password, as `htpasswd -nBC 10 NAME` prints it after the name")
    return word


def _users(node: Node, location: Location) -> dict[str, str] | None:
    if not isinstance(node, Mapping):
        report_wrong_type(node, location, "a mapping")
        return None
    found: dict[str, str] = {}
    for key, value, at in unique_keys(node, location):
        if not key.text or ":" in key.text or not key.text.isprintable():
            at.with_position(key.line, key.column).error("expected a user name without a colon")
        elif (hashed := HASH.read(value, at)) is not None:
            found[key.text] = hashed
    return found


VERSION = types.text("`TLS12` \\| `TLS13`", _version)
CLIENT_AUTH = types.text(" \\| ".join(f"`{word}`" for word in _CLIENT_AUTH), _client_auth)
SUITE = types.choice((*SUITES, *SUITES_OF_1_3))
CURVE = types.choice(tuple(CURVES))
HTTP2 = types.scalar("`false`", "true or false", (Type.BOOL,), _http2)
PEM: FieldType = types.scalar("PEM", "a text", (Type.TEXT,), _pem)
INTERVAL = types.scalar("duration", "a duration such as 1s", (Type.TEXT, Type.NUMBER), _interval)
HASH = types.text("bcrypt hash", _hash)
USERS: FieldType = FieldType("names and bcrypt hashes", _users)


def non_empty_list(kind: FieldType) -> FieldType:
    """Return the type of a list that must not be empty."""
    several = types.list_of(kind)

    def read(node: Node, location: Location) -> Any:
        found = several.read(node, location)
        if found == [] and not getattr(node, "items", ()):
            location.error("is empty: omit the key, or list the allowed values")
            return None
        return found

    return FieldType(several.type_name, read)
