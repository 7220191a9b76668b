"""What one simulated SQL Server has: keys, credentials, databases, groups, rights. Values are frozen, like the rest of the environment."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

DEFINITIONS = "VIEW ANY DEFINITION"
PERFORMANCE = "VIEW SERVER PERFORMANCE STATE"
SECURITY = "VIEW SERVER SECURITY STATE"
ERROR_LOG = "VIEW ANY ERROR LOG"
BACKUPS = "SELECT ON MSDB.DBO.BACKUPSET"
RIGHTS = frozenset({DEFINITIONS, PERFORMANCE, SECURITY, ERROR_LOG, BACKUPS})
MANAGED_IDENTITY = "Managed Identity"  # the identity of a credential without a secret
PROVIDER = "AzureKeyVault_EKM_Prov"
ONLINE, RECOVERY_PENDING = 0, 3
STATES = {ONLINE: "ONLINE", 1: "RESTORING", RECOVERY_PENDING: "RECOVERY_PENDING", 5: "EMERGENCY", 6: "OFFLINE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlKey:
    """An asymmetric key: the version in the vault, and the credential that its login uses."""

    vault: str  # full host name
    key_name: str
    key_version: str
    thumbprint: str
    credential: str  # the name in SQL Server
    identity: str  # of that credential
    application: str | None = None  # client id, lower case

    @property
    def name(self) -> str:
        """Return the name in SQL Server."""
        return f"{self.key_name}_{self.key_version[:8]}"

    @property
    def uri(self) -> str:
        """Return the value KeyUri of the registry."""
        return f"https://{self.vault}/keys/{self.key_name}/{self.key_version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlDatabase:
    """A database that a key protects; the thumbprint is that of the key."""

    name: str
    thumbprint: str
    ag: str | None = None
    state: int = ONLINE


@dataclass(frozen=True, slots=True)
class VaultSide:
    """What a request with one key meets: the provider's code of a refusal, "" for a refusal without a code, None if it works."""

    sign_in: str | None = None  # which a living token spares
    key: str | None = None


def _setting(default: Any, meaning: str) -> Any:
    """Return a field with a default, and with its line in the documentation."""
    return field(default=default, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySettings:
    """How a day of a SQL Server goes. Intervals are in seconds, of a day that passes at `speed`; 0 is never."""

    every: float = _setting(900.0, "seconds from one log backup to the next; 0: never")
    differential_every: float = _setting(0.0, "seconds from one differential backup to the next; 0: never")
    full_every: float = _setting(86400.0, "seconds from one full backup to the next; 0: never")
    token_seconds: float = _setting(4500.0, "how long a sign-in to the vault serves further requests")
    speed: float = _setting(
        1.0, "all intervals are shorter, and the log grows faster, by this factor; times stay those of the clock"
    )
    kb_per_second: float = _setting(64.0, "log that each database writes")
    vlf_kb: int = _setting(65_536, "size of a VLF; a log has sixteen at first")
    limit_kb: int = _setting(0, "limit of each log; 0: none")
    disk_kb: int = _setting(40 * 1024 * 1024, "free disk beyond the first sixteen VLFs")
    trace_flag: bool = _setting(False, "trace flag 15025: a new VLF needs no request to the vault")
    backups: bool | None = _setting(None, "whether this server makes the backups; null: the first of a group does")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedSqlServer:
    """One instance. Times are Unix times."""

    name: str  # as @@SERVERNAME
    sql_instance: str
    host: str
    keys: tuple[SqlKey, ...]
    databases: tuple[SqlDatabase, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # availability group, its servers
    started: float = 0.0
    altered: float = 0.0  # when the credentials were last altered
    product_version: str = "16.0.4105.2"
    file_version: str = "15.0.2000.440"
    rights: frozenset[str] = RIGHTS
    missing: frozenset[str] = frozenset()  # system views that this version lacks
    provider_enabled: bool = True
    library_loads: bool = True  # the DLL of the provider
    ekm_configured: bool = True  # the option of all providers, as it is after the next start
    ekm_in_use: bool = True
    registry_readable: bool = True
    logged: tuple[tuple[float, str], ...] = ()  # further lines of the error log: time, provider error code
    secret_accepted: bool = True  # whether Entra accepts the secret that the credentials have
    login_has_credential: bool = True
    backups_fail: bool = False  # for a cause of their own
    without_rows: frozenset[str] = frozenset()  # sections that are sent without their rows
    day: DaySettings = DaySettings()
    refuses_login: bool = False
    silent: bool = False

    @property
    def machine(self) -> str:
        """Return the name of the computer."""
        return self.name.partition("\\")[0]

    @property
    def instance_name(self) -> str | None:
        """Return the name of a named instance."""
        return self.name.partition("\\")[2] or None

    @property
    def credentials(self) -> dict[str, str]:
        """Return the identity of each credential."""
        return {key.credential: key.identity for key in self.keys}

    def makes_backups(self, database: SqlDatabase) -> bool:
        """Return whether this server makes the backups of the database."""
        if self.day.backups is not None or database.ag is None:
            return self.day.backups is not False
        return dict(self.groups)[database.ag][0] == self.name

    def restarted(self, now: float, opened: Collection[str]) -> SimulatedSqlServer:
        """Return the server after a restart, at which only the databases of these names opened."""
        databases = [replace(one, state=ONLINE if one.name in opened else RECOVERY_PENDING) for one in self.databases]
        return replace(self, started=now, ekm_in_use=self.ekm_configured, databases=tuple(databases))


def invented_thumbprint(key_name: str, key_version: str) -> str:
    """Return a thumbprint that is equal on all servers for one key version, as the connector's is."""
    made = hashlib.sha1(f"{key_name.lower()}/{key_version}".encode(), usedforsecurity=False)
    return f"0x{made.hexdigest().upper()}"
