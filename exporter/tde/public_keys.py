"""Which keys need a comparison of public keys with those of a vault, and which version matches.

SQL Server stores the modulus in a blob whose layout is not documented, so both byte orders count.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from exporter.tde.findings import Findings
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import AsymmetricKey, Instance
from exporter.tde.pairing import credentials_of, vault_of
from exporter.tde.plan import HandWrittenTarget
from exporter.tde.registry import KeyVersion
from exporter.tde.usage import used_keys

SHORTEST = 128  # bytes: a shorter number is no key of RSA that the connector accepts, and might match by accident
_VAULT_NAME = re.compile(r"[A-Za-z0-9-]{1,127}")


@dataclass(slots=True)
class Search:
    """What to look for in one vault.

    `wanted` has the name in SQL Server for each public key. `named` has versions by key name: a vault that refuses the list
    still returns these, and the newest of each name.
    """

    wanted: dict[str, str] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)
    servers: dict[str, None] = field(default_factory=dict)


def plan_searches(instances: Iterable[Instance], uris: KeyUris, hand_written: Iterable[HandWrittenTarget]) -> dict[str, Search]:
    """Return a search for each vault with a key in use whose version is unknown or ambiguous."""
    found: dict[str, Search] = {}
    for instance in instances:
        for key in used_keys(instance):
            if not key.public_key or uris.version_of(instance, key) is not None:
                continue
            for vault in sorted({vault for one in credentials_of(instance, key) if (vault := vault_of(one)) is not None}):
                _add_key(found.setdefault(vault, Search()), instance, key)
    for vault, search in found.items():
        _add_names(search, vault, uris, hand_written)
    return found


def _add_key(search: Search, instance: Instance, key: AsymmetricKey) -> None:
    search.wanted.setdefault(key.public_key, key.name)
    search.servers[instance.server_name] = None
    if _VAULT_NAME.fullmatch(key.name):  # the DBA may have given both the same name
        search.named.setdefault(key.name, set())


def _add_names(search: Search, vault: str, uris: KeyUris, hand_written: Iterable[HandWrittenTarget]) -> None:
    for version in uris.versions_in(vault):
        search.named.setdefault(version.name, set()).add(version.version)
    for target in hand_written:
        if target.vault == vault:
            search.named.setdefault(target.key_name, set()).update([target.key_version] if target.key_version else [])


def has_modulus(public_key: str, modulus: bytes) -> bool:
    """Whether SQL Server's public key, as hex digits after 0x, has this modulus."""
    number = modulus.lstrip(b"\0")
    digits = public_key.upper()
    return len(number) >= SHORTEST and any(one.hex().upper() in digits for one in (number, number[::-1]))


@dataclass(slots=True)
class SearchResult:
    """Key versions by SQL Server's public key. `failure` is why the vault was not searched to the end.

    `compared` and `refused` count key versions. Without `listed`, the vault refused the list.
    """

    matches: dict[str, set[KeyVersion]] = field(default_factory=dict)
    compared: int = 0
    refused: int = 0
    listed: bool = True
    failure: str = ""

    @property
    def found(self) -> dict[str, KeyVersion]:
        """The public keys with one version. An imported key may be in a vault twice."""
        return {public_key: next(iter(those)) for public_key, those in self.matches.items() if len(those) == 1}


def report_search(vault: str, search: Search, result: SearchResult, findings: Findings, elsewhere: Collection[str] = ()) -> None:
    """Add what the search brought: a gap if a public key was found not here, and by `elsewhere` not in another vault."""
    text = f"vault {vault}: {result.compared} key versions compared by their public keys"
    if not result.listed:
        text += ", the newest and the named ones only: it refuses the list (permission list)"
    if result.refused:
        text += f"; {result.refused} refused (permission get)"
    if result.failure:
        text += f"; {result.failure}"
    found = {*result.found, *elsewhere}
    missing = {public_key: name for public_key, name in search.wanted.items() if public_key not in found}
    for public_key, name in sorted(missing.items(), key=lambda one: one[1]):
        several = sorted(f"{version.name}/{version.version}" for version in result.matches.get(public_key, ()))
        what = f"several have that of [{name}]: {', '.join(several)}" if several else f"none has that of [{name}]"
        findings.gap(f"{text}; {what}", *search.servers)
    if not missing:
        add = findings.gap if result.failure else findings.note
        add(f"{text}; each was found", *search.servers)
