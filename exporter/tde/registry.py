"""KeyUri of each thumbprint, from the registry of a SQL Server's host."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.core.key_reference import parse_key

# `reg query ROOT /s /v KeyUri` and `reg export`.
_PATH = re.compile(r"\[?HKEY_LOCAL_MACHINE\\(?:[^\\]+\\)+([^\\\]]+)\]?\s*", re.IGNORECASE)
_VALUE = re.compile(r'\s*"?KeyUri"?\s*(?:REG_SZ\s+|=\s*")([^\s"]+)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RegistryUri:
    """The URI that the connector stored for a thumbprint."""

    thumbprint: str
    uri: str


@dataclass(frozen=True, slots=True, order=True)
class KeyVersion:
    """A key version in a vault; `vault` is the full host name in lower case. Key Vault ignores the case of the others."""

    vault: str
    name: str
    version: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyVersion) and self._folded == other._folded

    def __hash__(self) -> int:
        return hash(self._folded)

    @property
    def _folded(self) -> tuple[str, str, str]:
        return self.vault, self.name.lower(), self.version.lower()

    @property
    def uri(self) -> str:
        return f"https://{self.vault}/keys/{self.name}/{self.version}"


def key_version(uri: str) -> KeyVersion | None:
    """Return the key version of a KeyUri, None if it is not `https://VAULT/keys/NAME/VERSION`."""
    try:
        key = parse_key(uri.strip().removesuffix("/"))
    except ValueError:
        return None
    if key.vault is None or key.version is None:
        return None
    return KeyVersion(key.vault, key.name, key.version)


def thumbprint_of(text: str) -> str:
    """Return a thumbprint as SQL Server writes it: `0x` and capital hex digits."""
    return "0x" + text.strip().upper().removeprefix("0X")


class RegistryLines:
    """Collects the entries from the output of `reg query` or a file of `reg export`."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._found: dict[RegistryUri, None] = {}

    def take(self, line: str) -> None:
        if path := _PATH.fullmatch(line):
            self._name = path[1]
        elif self._name is not None and (value := _VALUE.fullmatch(line)):
            self._found[RegistryUri(self._name, value[1])] = None

    def found(self) -> tuple[RegistryUri, ...]:
        return tuple(self._found)
