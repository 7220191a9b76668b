"""What is last known of a target, kept while probes fail: the vault's headers, the tenant, the TLS issuer.

For: learning from a report and saying which part of the path to the vault changed.
Not for: counting those changes (see `counters`), showing values (see `samples`), or surviving a restart (see `state.records.records`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from exporter.core.model import Facts, PeerCertificate, ProbeReport, Step, VaultHeaders


@dataclass(slots=True)
class Known:
    """None where nothing is known yet."""

    tenant: str | None = None
    vault: VaultHeaders = field(default_factory=VaultHeaders)
    tls_issuer: str | None = None

    def recall(self, vault: VaultHeaders, tenant: str | None, certificate: PeerCertificate | None) -> None:
        """What was known before a restart."""
        self.vault, self.tenant = vault, tenant
        self.tls_issuer = None if certificate is None else certificate.issuer

    def learn(self, report: ProbeReport) -> tuple[str, ...]:
        """Takes over what the report tells; returns the parts of the path that changed, each at most once."""
        self.tenant = report.tenant or self.tenant
        before = self._path()
        for facts in _vault_facts(report):
            if facts.vault is not None:
                told = {name: value for name, value in _headers(facts.vault).items() if value}
                self.vault = replace(self.vault, **told)
            if facts.certificate is not None:
                self.tls_issuer = facts.certificate.issuer
        after = self._path()
        return tuple(part for part, value in before.items() if value is not None and value != after[part])

    def _path(self) -> dict[str, str | None]:
        return {"region": self.vault.region, "connection": self.vault.connection, "tls_issuer": self.tls_issuer}


def _headers(vault: VaultHeaders) -> dict[str, str | None]:
    return {"region": vault.region, "service_version": vault.service_version, "connection": vault.connection}


def _vault_facts(report: ProbeReport) -> Iterator[Facts]:
    """The facts of the vault's own answers; Entra's say nothing of the path to the vault."""
    for result in report.steps:
        if result.facts is not None and result.step is not Step.TOKEN:
            yield result.facts
