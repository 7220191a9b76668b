"""A credential of the configuration and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from exporter.config.settings import azure_types
from exporter.config.settings.metadata import row, secret_setting, setting
from exporter.config.settings.secret_source import SecretSource
from exporter.config.yaml import types
from exporter.core.model import CredentialKind

SECRET, CONNECTOR, CERTIFICATE = (
    CredentialKind.CLIENT_SECRET,
    CredentialKind.CONNECTOR_SECRET,
    CredentialKind.CLIENT_CERTIFICATE,
)
MANAGED, WORKLOAD, CHAIN = CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT
# Kinds with an expiry that a lookup can find.
_EXPIRING = (SECRET, CONNECTOR, CERTIFICATE)
NEEDS_CLIENT_ID = (SECRET, CERTIFICATE)
# The stem of the keys STEM_file and STEM_env, and whether one of the two is required.
SOURCES: dict[CredentialKind, tuple[str, bool]] = {
    SECRET: ("client_secret", True),
    CONNECTOR: ("secret", True),
    CERTIFICATE: ("password", False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """An identity at Entra ID."""

    name: str
    kind: CredentialKind = field(metadata=row(types.choice(CredentialKind), "Kind of identity.", name="type"))
    tenant_id: str | None = setting(
        azure_types.TENANT, "The Entra tenant.", shown="the tenant in the vault's challenge", types=(*_EXPIRING, WORKLOAD)
    )
    client_id: str | None = setting(
        types.GUID,
        "The application. Required with `client_secret` and `client_certificate`; "
        "selects a user-assigned identity with `managed_identity`.",
        types=(SECRET, CERTIFICATE, MANAGED, WORKLOAD),
    )
    secret: SecretSource | None = secret_setting(
        "secret",
        client_secret=("the client secret", (SECRET,)),
        secret=("the SECRET of CREATE CREDENTIAL: client id without hyphens, then the client secret", (CONNECTOR,)),
    )
    certificate_file: Path | None = setting(
        types.PATH, "Certificate and private key, PEM or PFX.", types=(CERTIFICATE,), required=True
    )
    password: SecretSource | None = secret_setting("password", password=("the password of `certificate_file`", (CERTIFICATE,)))
    # Midnight UTC at the beginning of the day.
    expires_on: date | None = setting(types.DATE, "Day on which the secret expires.", types=(*_EXPIRING, CHAIN))
    graph_credential: str | None = setting(
        types.CREDENTIAL_NAME, "Another credential, for the lookup of this one's expiry in Microsoft Graph.", types=_EXPIRING
    )
    key_vault_secret: str | None = setting(
        azure_types.SECRET_URL, "Key Vault secret whose expiry attribute is this credential's expiry.", types=_EXPIRING
    )
    key_vault_credential: str | None = setting(
        types.CREDENTIAL_NAME,
        "Credential that reads the attributes of `key_vault_secret`.",
        shown="`graph_credential`, else this credential itself",
        types=_EXPIRING,
    )

    @property
    def may_expire(self) -> bool:
        """Whether the credential expires, as far as its kind and configuration show."""
        return self.expires_on is not None or self.has_own_secret

    @property
    def has_own_secret(self) -> bool:
        """Whether it signs in with a secret or certificate of the configuration."""
        return self.kind in SOURCES

    @property
    def secret_path(self) -> str | None:
        """Path of the file that holds the secret or certificate."""
        source = self.secret or self.password
        path = self.certificate_file if source is None else source.file
        return None if path is None else str(path)

    @property
    def reads_file(self) -> bool:
        """Whether a file holds the secret or the certificate."""
        source = self.secret or self.password
        return self.certificate_file is not None or (source is not None and source.file is not None)

    @property
    def key_vault_lookup_credential(self) -> str:
        """Name of the credential that reads the attributes of `key_vault_secret`."""
        return self.key_vault_credential or self.graph_credential or self.name

    @property
    def lookup_credentials(self) -> tuple[str, ...]:
        """Names of the other credentials that look up this one's expiry."""
        key_vault = self.key_vault_lookup_credential if self.key_vault_secret is not None else None
        return tuple(name for name in (self.graph_credential, key_vault) if name is not None and name != self.name)
