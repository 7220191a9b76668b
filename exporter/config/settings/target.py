"""A target of the configuration and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from exporter.config.settings import azure_types
from exporter.config.settings.maintenance import WINDOW, MaintenanceWindow
from exporter.config.settings.metadata import fields_of, row, setting
from exporter.config.settings.module import DEFAULT_MODULE
from exporter.config.yaml import types
from exporter.core.model import Generation, Vantage
from exporter.core.thumbprint import Pin


def _key(owner: Retained | Target) -> str:
    return owner.key_name if owner.key_version is None else f"{owner.key_name}/{owner.key_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """A key version that old backups need."""

    key_name: str = field(metadata=row(azure_types.KEY, "Key version that encrypted the old backups.", name="key", dumped=_key))
    key_version: str | None
    # Full host name in lower case.
    vault: str = field(
        metadata=row(azure_types.VAULT, "The vault with that key version.", default="that of the KeyUri, else the target's")
    )
    credential: str = field(metadata=row(types.CREDENTIAL_NAME, "Credential that may unwrap with it.", default="the target's"))
    until: date | None = setting(types.DATE, "Last day on which a backup needs it.")

    @property
    def key(self) -> str:
        """`name` or `name/version`, as in the configuration."""
        return _key(self)

    def is_needed(self, today: date) -> bool:
        """Whether backups still need this key version on this day."""
        return self.key_version is not None and (self.until is None or self.until >= today)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One vault and key that SQL Servers depend on. Durations are in seconds."""

    name: str = field(metadata=row(types.NAME, "Name in metrics (label `target`), pages and logs. Unique in all files."))
    # Full host name in lower case, with :port unless it is 443.
    vault: str = field(
        metadata=row(
            azure_types.VAULT,
            "The IDENTITY of the SQL credential: the vault's name, its host name, or its https URL. May be absent if `key` is a KeyUri.",
        )
    )
    key_name: str = field(
        metadata=row(
            azure_types.KEY,
            "The key, pinned to the version that SQL Server uses. A KeyUri such as `https://contoso.vault.azure.net/keys/NAME/VERSION` "
            "names the vault too. A bare name follows the newest version and gets no verdict.",
            name="key",
            dumped=_key,
        )
    )
    key_version: str | None  # None: not pinned, so no verdict
    # As SQL Server writes it, in upper case after 0x.
    thumbprint: str | None = setting(
        azure_types.THUMBPRINT,
        "SQL Server's thumbprint of that key version, as in `sys.asymmetric_keys`. With it, the exporter compares the pin with the "
        "keys that SQL Servers use.",
    )
    retained_versions: tuple[Retained, ...] = setting(
        types.list_of(types.section(fields_of(Retained))), "Key versions that old backups need.", ()
    )
    credential: str = field(metadata=row(types.CREDENTIAL_NAME, "The credential that SQL Server uses."))
    next_credential: str | None = setting(
        types.CREDENTIAL_NAME, "Staged successor of `credential`. An auxiliary probe tests it; it never changes the verdict."
    )
    recovery_vault: str | None = setting(azure_types.VAULT, "The vault that holds a restored copy of the key.")
    recovery_credential: str | None = setting(
        types.CREDENTIAL_NAME, "The credential for the recovery vault.", shown="the target's `credential`"
    )
    backup_on: date | None = setting(types.DATE, "Day of the key's last backup.")
    maintenance: tuple[MaintenanceWindow, ...] = setting(
        types.list_of(WINDOW), "Windows of planned work for this target, in addition to those of `global.maintenance`.", ()
    )
    module: str = field(
        metadata=row(types.MODULE_NAME, "Module with the settings of this target's probes.", default=DEFAULT_MODULE)
    )
    # Modules other than `module` that a request of /probe may name.
    modules: tuple[str, ...] = setting(
        types.list_of(types.MODULE_NAME), "Other modules that a request may name as `/probe?module=`.", ()
    )
    interval: float = field(metadata=row(types.INTERVAL, "Time between two probes.", default="`global.interval`"))
    timeout: float = field(
        metadata=row(types.TIMEOUT, "Time for one whole probe, at most half the interval.", default="`global.timeout`")
    )
    generation: Generation = field(
        metadata=row(
            types.choice(Generation),
            "As `global.connector_generation`, for this target.",
            name="connector_generation",
            default="`global.connector_generation`",
        )
    )
    generation_declared: bool  # for this target or globally
    labels: Mapping[str, str] = setting(
        azure_types.labels(azure_types.RESERVED_LABELS | azure_types.INFO_LABELS),
        "Additional labels of `ekm_target_info`; the shipped rules copy `team`, `env` and `sql_instance`.",
        {},
    )
    instances: tuple[Mapping[str, str], ...] = setting(
        azure_types.INSTANCES,
        "The SQL Servers that depend on this key, one mapping each: `sql_instance` and labels that distinguish it, such as "
        "`host` and `ag`. `sql_instance` and `host` together are one SQL Server.",
        (),
    )
    config_file: Path | None = field(default=None, compare=False)  # the main file, for commands in advice
    vantage: Vantage = field(default=Vantage.CENTRAL, compare=False)  # of the exporter, for addresses in advice

    @property
    def key(self) -> str:
        """`name` or `name/version`, as in the configuration."""
        return _key(self)

    @property
    def pin(self) -> Pin | None:
        """The declared thumbprint with its key version."""
        return None if self.thumbprint is None else Pin(self.thumbprint, self.key_name, self.key_version)

    def allows(self, module: str) -> bool:
        """Whether a probe may use this module.

        Another module could send the secret to another host.
        """
        return module == self.module or module in self.modules
