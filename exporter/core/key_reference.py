"""The ways to name a key: `NAME`, `NAME/VERSION`, or the KeyUri of the registry."""

from __future__ import annotations

import re
from typing import NamedTuple

from exporter.core.endpoints import vault_host
from exporter.core.model import KeyFacts

EXPECTED = "expected NAME/VERSION or the KeyUri https://VAULT/keys/NAME/VERSION"

_VERSION = r"[A-Za-z0-9]{1,64}"
_NAMED = re.compile(rf"([^/]+)(?:/({_VERSION}))?")
_URI = re.compile(rf"https://([^/?#@\\]+\.[^/?#@\\]+)/keys/([^/?#]+)(?:/({_VERSION}))?", re.IGNORECASE)
# Without anchors, for JSON Schema.
PATTERN = rf"(?:[Hh][Tt][Tt][Pp][Ss]://[^/?#@]+/keys/)?[^/:?#]+(?:/{_VERSION})?"


class KeyReference(NamedTuple):
    """A key as the user named it.

    `version` is None for a key that is not pinned. `vault` is the host name of a KeyUri in lower case, with its port unless it is 443.
    """

    name: str
    version: str | None
    vault: str | None = None

    def contradicts(self, vault: str | None) -> bool:
        """Whether the KeyUri names another vault than this one."""
        return self.vault is not None and vault is not None and self.vault != vault


def parse_key(text: str) -> KeyReference:
    """Parse NAME, NAME/VERSION or a KeyUri.

    Raises ValueError with a message that does not contain the text. The connector's rules for names are not checked.
    """
    if "://" in text:
        return _parse_uri(text)
    named = _NAMED.fullmatch(text)
    if named is None or not named[1].strip() or not text.isprintable():
        raise ValueError(f"{EXPECTED}, with a version of letters and digits")
    return KeyReference(named[1], named[2])


def _parse_uri(text: str) -> KeyReference:
    if "@" in text:
        raise ValueError(f"{EXPECTED}, without user and password: the configuration must not contain secrets")
    uri = _URI.fullmatch(text)
    if uri is None or not text.isprintable():
        raise ValueError(f"{EXPECTED}, with the vault's full host name and a version of letters and digits")
    return KeyReference(uri[2], uri[3], vault_host(uri[1]))


def different_key(name: str, version: str | None, found: KeyFacts) -> str | None:
    """Return what `found` is instead of the requested key; None if it is that key.

    Key Vault ignores case in names and versions.
    """
    if found.name.lower() != name.lower():
        return f"key {found.name}"
    if version is not None and found.version.lower() != version.lower():
        return f"version {found.version}"
    return None
