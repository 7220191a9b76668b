"""SQL Server's thumbprint of an asymmetric key, and contradictions between pins.

Connector 1.0.4.0 makes it from the key's name. Connector 1.0.5.0 makes a hash of 20 bytes, equal on all nodes for one key version.
How the hash is computed is not documented, so no function here computes one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

HASH_BYTES = 20
EXPECTED = "expected a thumbprint as SQL Server writes it: 0x and an even number of hex digits, at most 64"
PATTERN = r"0[xX](?:[0-9A-Fa-f]{2}){1,32}"

_THUMBPRINT = re.compile(PATTERN)


class Pin(NamedTuple):
    """A thumbprint and the key version that it is declared for."""

    thumbprint: str
    key_name: str
    key_version: str | None


def normalize_thumbprint(text: str) -> str:
    """Return the thumbprint as `CONVERT(varchar(100), thumbprint, 1)` writes it.

    Raises ValueError with a message for the user.
    """
    if not _THUMBPRINT.fullmatch(text):
        raise ValueError(EXPECTED)
    return f"0x{text[2:].upper()}"


def length_of(thumbprint: str) -> int:
    """Return the number of bytes of a normalized thumbprint."""
    return (len(thumbprint) - 2) // 2


def is_hash(thumbprint: str) -> bool:
    """Whether the thumbprint has the length that connector 1.0.5.0 writes."""
    return length_of(thumbprint) == HASH_BYTES


def contradiction(one: Pin, other: Pin) -> str:
    """Return why two pins cannot both be right; empty if they can.

    The same key version can be in two vaults. Versions of one key can share a thumbprint that is not as long as the hash.
    """
    same_name = one.key_name.lower() == other.key_name.lower()
    same_version = same_name and (one.key_version or "").lower() == (other.key_version or "").lower()
    if one.thumbprint == other.thumbprint:
        if not same_name:
            return "the same thumbprint, but another key name"
        return "the same thumbprint, but another version" if is_hash(one.thumbprint) and not same_version else ""
    both = is_hash(one.thumbprint) and is_hash(other.thumbprint)
    return "the same key version, but another thumbprint" if both and same_version and one.key_version else ""
