"""The codes that probes can report with the active configuration."""

from __future__ import annotations

from typing import Final

from exporter.config.settings import Config
from exporter.core.codes import CODES, ConnectorError, Family, Layer
from exporter.core.model import CredentialKind

# Codes of one way to sign in, and the credentials that sign in so.
_IDENTITY_SERVICE: Final = 3304
_IDENTITY_SERVICE_KINDS: Final = frozenset(
    {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT}
)
_CERTIFICATE_KINDS: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.DEFAULT})


def possible_codes(config: Config) -> tuple[ConnectorError, ...]:
    """Return the codes that fit the generations and the kinds of credential of `config`.

    If no target has a generation, its own numbers cannot occur. Certificate codes need a credential with a certificate.
    """
    families = {Family.BOTH} | {Family(target.generation.value) for target in config.targets.values()}
    kinds = {credential.kind for credential in config.credentials.values()}
    return tuple(error for error in CODES if error.observable and error.generation in families and _fits(error, kinds))


def _fits(error: ConnectorError, kinds: set[CredentialKind]) -> bool:
    if error.layer is Layer.CREDENTIAL:
        return not kinds.isdisjoint(_CERTIFICATE_KINDS)
    return error.code != _IDENTITY_SERVICE or not kinds.isdisjoint(_IDENTITY_SERVICE_KINDS)
