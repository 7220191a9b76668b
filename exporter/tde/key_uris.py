"""The key version of each key, from the registries, with its sources: a SQL Server's own registry counts first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from exporter.core.masking import mask
from exporter.tde.findings import Findings, listed
from exporter.tde.model import AsymmetricKey, Instance, SqlCredential, printable
from exporter.tde.pairing import credentials_of, vault_of
from exporter.tde.registry import KeyVersion, RegistryUri, key_version, thumbprint_of

REG_QUERY = r'reg query "HKLM\SOFTWARE\Microsoft\SQL Server Cryptographic Provider\Azure Key Vault" /s /v KeyUri'
Established = Mapping[str, Mapping[str, KeyVersion]]  # by server and thumbprint
_LOOSE = ""  # the source of an entry in a file without a server
_Claims = dict[KeyVersion, dict[str, None]]  # a version and the servers whose registries name it


class KeyUris:
    """The key versions of each thumbprint, from every registry that was read.

    A thumbprint without an entry gets that of another thumbprint with the same public key. `compared` has the versions that were
    found in vaults by their public keys, `established` those of the last run. A version counts only in a vault that a credential of
    the server names: no other server can move its target.
    """

    def __init__(
        self,
        instances: Iterable[Instance],
        loose: Iterable[RegistryUri],
        findings: Findings,
        compared: Mapping[str, KeyVersion] | None = None,
        established: Established | None = None,
    ) -> None:
        self._compared, self._established = compared or {}, established or {}
        self._claims: dict[str, _Claims] = {}
        self._by_public_key: dict[str, dict[str, None]] = {}
        self._vaults: dict[str, frozenset[str]] = {}
        for uri in loose:
            self._add(uri, _LOOSE, findings)
        for instance in instances:
            self._vaults[instance.server_name] = _vaults(instance.credentials)
            for uri in instance.key_uris:
                self._add(uri, instance.server_name, findings)
            for key in instance.keys:
                if key.public_key:
                    self._by_public_key.setdefault(key.public_key, {})[key.thumbprint] = None

    def _add(self, uri: RegistryUri, source: str, findings: Findings) -> None:
        version = key_version(uri.uri)
        if version is None:
            thumbprint = printable(thumbprint_of(uri.thumbprint))
            servers = [source] if source else []
            findings.gap(f"the registry's KeyUri of thumbprint {thumbprint} is not https://VAULT/keys/NAME/VERSION", *servers)
        else:
            self._claims.setdefault(thumbprint_of(uri.thumbprint), {}).setdefault(version, {})[source] = None

    def _claims_of(self, key: AsymmetricKey) -> _Claims:
        if found := self._claims.get(key.thumbprint):
            return found
        joined: _Claims = {}
        for thumbprint in self._by_public_key.get(key.public_key, ()):
            for version, sources in self._claims.get(thumbprint, {}).items():
                joined.setdefault(version, {}).update(sources)
        return joined

    def version_of(self, instance: Instance, key: AsymmetricKey) -> KeyVersion | None:
        """Return the key version of a server's key, None if it is unknown or disputed."""
        claims = self._claims_of(key)
        own, loose = ([one for one, sources in claims.items() if source in sources] for source in (instance.server_name, _LOOSE))
        others = [] if own or loose else list(claims)
        compared = self._compared.get(key.public_key)
        before = self._established.get(instance.server_name, {}).get(key.thumbprint)
        last = [before] if before is not None and (before in (own or loose or claims) or not claims) else []
        vaults = _vaults(credentials_of(instance, key)), _named_vaults(instance, key)
        if not vaults[1] and len(own or loose) == 1:  # no identity is a vault, so the registry alone names one
            return (own or loose)[0]
        for versions in (own, loose if not own else [], [compared], last, others):
            for those in vaults:
                here = [version for version in versions if version is not None and version.vault in those]
                if len(here) == 1:
                    return here[0]
        return None

    def versions_in(self, vault: str) -> set[KeyVersion]:
        """Return every version of a vault that a registry or a comparison names."""
        named = (*self._compared.values(), *(one for those in self._claims.values() for one in those))
        return {version for version in named if version.vault == vault}

    def report(self, instance: Instance, key: AsymmetricKey, about: str, findings: Findings) -> None:
        """Add why the version is unknown, and which registry names another one."""
        server, version, claims = instance.server_name, self.version_of(instance, key), self._claims_of(key)
        named = _named_vaults(instance, key)
        here = {one: sources for one, sources in claims.items() if one.vault in named}
        wrong = {one: sources for one, sources in here.items() if one != version}
        if version is None and not claims:
            vaults = ", ".join(sorted(named)) or "?"
            findings.gap(f"{about}: no KeyUri, so name and version in vault {vaults} are unknown. {_advice(instance)}", server)
        elif version is None and not here:
            text = f"{about}: {_sources(claims)}, but {_identities(instance, key)}"
            findings.gap(f"{text}: no target, because no credential of this server names that vault", server)
        elif version is None:
            findings.gap(f"{about}: several KeyUri in its vault: {_sources(here)}: remove the old or wrong entries", server)
        elif wrong:
            text = f"{about}: {_sources(wrong)}, but {version.uri} counts"
            findings.gap(f"{text}: remove the wrong entry, and find out who wrote it", server)
        if version is not None and (foreign := {one: claims[one] for one in claims if self._is_foreign(one, named, claims[one])}):
            text = f"{about}: {_sources(foreign)}, a vault that no credential of this server names"
            findings.note(f"{text}: this entry does not count", server)

    def _is_foreign(self, version: KeyVersion, named: Collection[str], sources: Iterable[str]) -> bool:
        """Whether only servers that do not use the vault name the version."""
        return version.vault not in named and not any(version.vault in self._vaults.get(one, (version.vault,)) for one in sources)


def _vaults(credentials: Iterable[SqlCredential]) -> frozenset[str]:
    return frozenset(vault for one in credentials if (vault := vault_of(one)) is not None)


def _named_vaults(instance: Instance, key: AsymmetricKey) -> frozenset[str]:
    of_provider = [one for one in instance.credentials if one.provider == key.provider]
    return _vaults((*credentials_of(instance, key), *of_provider))


def _sources(claims: Mapping[KeyVersion, Iterable[str]]) -> str:
    """`the registry of N1 names https://...`, for each version."""
    return ", ".join(
        f"{f'the registry of {listed(named)}' if (named := [one for one in sources if one]) else 'a registry file'} names {version.uri}"
        for version, sources in claims.items()
    )


def _identities(instance: Instance, key: AsymmetricKey) -> str:
    those = credentials_of(instance, key)
    return ", ".join(f"credential [{one.name}] names {vault_of(one) or mask(one.identity) or 'nothing'}" for one in those)


def _advice(instance: Instance) -> str:
    if instance.platform == "linux":
        return "SQL Server on Linux has no registry: compare public keys with --vault.credential, or write the target by hand"
    return f"Compare public keys with --vault.credential, or run on its host, and add the output to --from: {REG_QUERY}"
