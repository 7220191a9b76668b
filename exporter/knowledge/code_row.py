"""`ConnectorError`, a row of the table of codes, and what rows of several tables share: texts, commands, capital words, and
the registry key of the connector.

The values of the closed lists are public: JSON and metric labels contain them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any, Self


class Family(StrEnum):
    """The `connector_generation` of a number; `both` for all but the 20 pairs."""

    CLASSIC = "classic"
    CURRENT = "current"
    BOTH = "both"


class Layer(StrEnum):
    """The part of the connector in which the failure occurs."""

    ENGINE = "engine"
    EVENT_LINE = "event_line"
    INPUT = "input"
    HTTP = "http"
    CHALLENGE = "challenge"
    TOKEN = "token"  # noqa: S105 - the name of a layer
    GET_KEY = "get_key"
    BACKUP = "backup"
    WRAP_KEY = "wrap_key"
    UNWRAP_KEY = "unwrap_key"
    CREDENTIAL = "credential"
    NAME = "name"
    RETRY = "retry"


class Category(StrEnum):
    """The kind of failure. Values may be added; renaming one breaks users."""

    SUCCESS = "success"
    NETWORK = "network"
    IDENTITY = "identity"
    PERMISSION = "permission"
    MISSING = "missing"
    THROTTLED = "throttled"
    SERVER = "server"
    PROTOCOL = "protocol"
    INPUT = "input"
    HOST = "host"  # Windows on the SQL Server host: registry, local calls
    RESOURCE = "resource"  # memory
    UNKNOWN = "unknown"


class Owner(StrEnum):
    """The team that can fix the failure."""

    DBA = "dba"
    IDENTITY = "identity"
    NETWORK = "network"
    VAULT = "vault"
    EXPORTER = "exporter"


@dataclass(frozen=True, slots=True)
class ConnectorError:
    """One code. `causes` start with the most likely, `actions` with the first to take.

    Texts are ASCII with `code` spans. `counterpart` is the number in the other generation. `fallback` is the classic number of
    the HTTP layer that connectors without this code report. `effect` is what fails in SQL Server and when, empty if nothing does.
    """

    code: int
    symbol: str
    category: Category
    owner: Owner
    _: KW_ONLY
    layer: Layer
    generation: Family = Family.BOTH
    counterpart: int | None = None
    fallback: int | None = None
    summary: str = ""
    effect: str = ""
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    unobservable_because: str = ""
    commands: tuple[str, ...] = ()  # lines to copy, for an action that needs several

    def saying(self, **texts: Any) -> Self:
        """Return the row with its texts."""
        return replace(self, **texts)

    @property
    def observable(self) -> bool:
        """Whether a probe or a check of the configuration can report this code."""
        return not self.unobservable_because


# The teams that repair failures, in words: tickets, pages and the command `explain` use the same ones.

OWNERS: Mapping[Owner, str] = MappingProxyType(
    {
        Owner.DBA: "the DBA",
        Owner.IDENTITY: "the identity team (Entra ID)",
        Owner.NETWORK: "the network team",
        Owner.VAULT: "the vault team (Azure Key Vault)",
        Owner.EXPORTER: "the exporter's operator",
    }
)


class AddressedAction(str):
    """An action that another reader than the team of the failure takes. It knows him also after its names are filled in."""

    __slots__ = ("reader",)
    reader: Owner

    def __new__(cls, text: str, reader: Owner) -> Self:
        action = super().__new__(cls, text)
        action.reader = reader
        return action

    def __getnewargs__(self) -> tuple[str, Owner]:  # type: ignore[override]  # a copy has the reader too
        return str(self), self.reader


for_dba = partial(AddressedAction, reader=Owner.DBA)
for_exporter = partial(AddressedAction, reader=Owner.EXPORTER)
for_identity = partial(AddressedAction, reader=Owner.IDENTITY)
for_network = partial(AddressedAction, reader=Owner.NETWORK)
for_vault = partial(AddressedAction, reader=Owner.VAULT)


def reader_of(action: str) -> Owner | None:
    """Return the reader; None: the team of the failure."""
    return action.reader if isinstance(action, AddressedAction) else None


def reworded(action: str, text: str) -> str:
    """Return another text of an action, with its reader."""
    return AddressedAction(text, action.reader) if isinstance(action, AddressedAction) else text


# The connector's Windows registry key, and the commands that show and grant the right to it. Microsoft's setup page creates
# `SQL Server Cryptographic Provider`, grants Full Control of it, restarts the service, and adds it to the checkpoints of a failover
# cluster. The connector creates the subkeys, which inherit that right.
REGISTRY_KEY = r"SOFTWARE\Microsoft\SQL Server Cryptographic Provider"
ENTRIES = rf"{REGISTRY_KEY}\Azure Key Vault"  # below it: the vault, the thumbprint, and the value KeyUri
LOG = rf"{ENTRIES}\Log"  # its value `Level`: 0 all events, which is the default, 1 errors, 2 none
NO_EVENTS = 2
SHOW_LEVEL = f'reg query "HKLM\\{LOG}" /v Level'
WRITE_EVENTS = f'reg add "HKLM\\{LOG}" /v Level /t REG_DWORD /d 0 /f'
_DRIVE = rf"HKLM:\{REGISTRY_KEY}"

SHOW_RIGHTS = f"(Get-Acl '{_DRIVE}').Access | Format-List 'IdentityReference', 'RegistryRights'"
# New-Item with -Force would replace an existing key and its entries.
GRANT_RIGHT: tuple[str, ...] = (
    f"$key = '{REGISTRY_KEY}'",
    r"$account = 'NT SERVICE\MSSQLSERVER'",
    r'if (-not (Test-Path "HKLM:\$key")) { New-Item -Path "HKLM:\$key" }',
    "$rule = [Security.AccessControl.RegistryAccessRule]::new(",
    "    $account, 'FullControl', 'ContainerInherit', 'None', 'Allow')",
    r'$acl = Get-Acl "HKLM:\$key"',
    "$acl.AddAccessRule($rule)",
    r'Set-Acl -Path "HKLM:\$key" -AclObject $acl',
)
ADD_CHECKPOINT: tuple[str, ...] = (
    f"$key = '{REGISTRY_KEY}'",
    "$resource = 'SQL Server (SQLPRD01)'",
    "Add-ClusterCheckpoint -ResourceName $resource -RegistryCheckpoint $key",
)

# The effect of a key that SQL Server cannot get. docs/what-needs-the-vault.md has the sources.
_OPEN = "open databases"
_CLOCKS = (
    "{}: restores, DBCC CHECKDB and column encryption with an EKM key fail; {} still read and write. At the next virtual log file "
    "(VLF) or backup: backups fail, log backups too, the log grows, and a busy database may lose access. At a restart: databases stay in RECOVERY PENDING."
)
WITHOUT_THE_KEY = _CLOCKS.format("Now", _OPEN)
SOME_DO_NOT_WRITE = _CLOCKS.format("Now", f"other {_OPEN}")
IF_IN_USE = (
    "This follows if databases here use a key in the vault: part 4 of `ekm-exporter script verify.sql` lists those of a server. "
    f"{WITHOUT_THE_KEY}"
)
IF_SQL_SERVER_SHOWS_IT = f"This follows if SQL Server shows the code, not only a probe. {WITHOUT_THE_KEY}"
WHILE_IT_LASTS = f"What needs the key meanwhile may fail. {WITHOUT_THE_KEY}"
# A database, a virtual log file and a backup decrypt the database's key and encrypt none: an assumption, which no page of Microsoft's states.
WITHOUT_WRAP = (
    "No key can be created or rotated. As far as is known, databases, virtual log files (VLF) and backups need unwrap alone."
)
NOT_FOR_TONIGHT = "This can wait for working hours."
# Growth and a second file start virtual log files, which need the vault.
STOP_WRITERS = "Stop what writes much"
WATCH_THE_LOG = "Watch the log space, do not shrink, and start no new backup chain."
DO_NOT_RESTART = for_dba(f"Do not restart or fail over SQL Server until a probe succeeds. {WATCH_THE_LOG}")
# Between two waves of refusals, a probe succeeds.
NOT_IN_WAVES = for_dba(
    "Do not restart or fail over SQL Server until ten minutes pass without 429; then repeat the log backups. Do not shrink the log."
)
# Microsoft's setup page restarts the service after the right on the registry key, when no database is encrypted yet.
RESTART_LATER = (
    "Microsoft's setup page then restarts the service: do so in a planned window, a secondary first, when "
    "`ekm-exporter doctor TARGET` fails no check."
)
SET_ONLINE = for_dba(
    "Then, node by node, for RECOVERY PENDING: `ALTER DATABASE [DB] SET ONLINE;`. In an availability group, restart the service. Then repeat log backups."
)
EVENT_LOG = for_dba(
    "On the SQL Server host, read the preceding lines in the Application log, source `SQL Server Connector for Microsoft Azure Key Vault`."
)
# `sys.cryptographic_providers.version` is 1.0.5.0 for every build since 2018.
DLL_VERSION = (
    "Show the file version of the DLL: `(Get-Item 'PATH').VersionInfo.FileVersion`. Its path is in `sys.cryptographic_providers`."
)
SUPPORT = for_dba("If the failure persists, open a support request with the request id that `ekm-exporter probe TARGET` shows.")
ASSIGNEE = "--assignee-object-id OBJECT_ID --assignee-principal-type ServicePrincipal"
ASSIGN_ROLE = (
    f'`az role assignment create --role "Key Vault Crypto Service Encryption User" {ASSIGNEE} --scope VAULT_ID/keys/KEY`'
)
RECOVER_VAULT = for_vault(
    "Recover a deleted vault: `az keyvault recover --name VAULT`. If its `scheduledPurgeDate` has passed, restore the key's backup into another vault."
)
_LOST_ROLES = "A recovered vault has lost its roles"
ROLES_OF_RECOVERED = for_dba(f"{_LOST_ROLES}. The command that assigns one: `ekm-exporter explain forbidden_rbac`.")
ASSIGN_AGAIN = for_vault(f"{_LOST_ROLES}. If roles decide there, assign the key's again: {ASSIGN_ROLE}.")
SHOW_THE_SERVER = "Show which server responds: `curl -i https://VAULT.vault.azure.net/keys?api-version=7.4`."
FIND_INTERCEPTION = for_dba(
    "Check the issuer of the TLS certificate in the output of `ekm-exporter probe TARGET`: it shows TLS inspection."
)
REWRITTEN = "A proxy, gateway or security appliance responds instead of the service or rewrites its responses."
NOT_A_VAULT = "The name resolves to a server that is not Key Vault: a wrong private endpoint, a gateway or a test server."
SERVICE_DEFECT = "The service has a defect, usually brief and in one region."


def generations(row: ConnectorError) -> tuple[ConnectorError, ...]:
    """Return the classic row and the same row under the number of its counterpart; a row without one alone."""
    if row.counterpart is None:
        return (row,)
    current = replace(row, code=row.counterpart, generation=Family.CURRENT, counterpart=row.code)
    return replace(row, generation=Family.CLASSIC), current


def out_of_memory_row(code: int, symbol: str, layer: Layer, doing: str, *, counterpart: int | None = None) -> ConnectorError:
    """Build a row about a lack of memory; `doing` completes "while the connector was ..."."""
    return ConnectorError(code, symbol, Category.RESOURCE, Owner.DBA, layer=layer, counterpart=counterpart).saying(
        summary=f"The SQL Server process ran out of memory while the connector was {doing}. The vault is not the cause.",
        effect=WITHOUT_WRAP if layer is Layer.WRAP_KEY else "" if layer is Layer.BACKUP else WHILE_IT_LASTS,
        causes=(
            "`max server memory (MB)` leaves too little memory outside the buffer pool, which the connector uses.",
            "Other programs on the host use up the memory.",
            "A memory leak in the process grew over a long uptime.",
        ),
        actions=(
            "Show the memory of the process: `SELECT * FROM sys.dm_os_process_memory;`.",
            "Lower `max server memory (MB)` or free memory on the host, then repeat the statement.",
            "If a restart is needed, first make sure that `ekm-exporter probe TARGET` succeeds.",
        ),
        unobservable_because="It concerns the memory of the SQL Server process, which no request from outside can read.",
    )


# The 25 codes that a DBA meets, with the event behind each: those of the faults that occur in vaults, sign-ins and networks, and those
# of the setup of SQL Server. Most of the other 121 need a damaged response, a lack of memory, or a fault inside Windows.
# The classic number of a pair; a DBA meets the current one, too. The most frequent ones come first.
FREQUENT: Mapping[int, str] = MappingProxyType(
    {
        3303: "the client secret expired, or a copy of it is wrong",
        3077: "a role or access policy is missing, the vault's firewall refuses the host, or the key is disabled",
        3008: "a firewall, a proxy or the inspection of TLS stops the connection",
        3900: "DNS does not resolve the vault's name, often after a change of private endpoints",
        3011: "more requests reach the vault than it allows",
        3076: "the key or its version was deleted, or the name leads to another vault",
        3128: "the application was deleted or disabled, or its id or tenant is wrong",
        3305: "vault and application are in different tenants",
        3013: "Key Vault, Entra ID or a proxy fails",
        3010: "older connectors show it for 3303 and 3305",
        3012: "older connectors show it for 3128; a newer one, for a request that the vault cannot accept",
        401: "the event log of Windows shows a refused sign-in",
        404: "the event log of Windows shows a missing key",
        2058: "CREATE ASYMMETRIC KEY fails, and the service account lacks a right on the registry",
        2050: "the SECRET of CREATE CREDENTIAL is incomplete",
        3: "the key has a type or a size that the connector does not support",
        4: "a statement names a key that the provider does not have",
        5: "SQL Server cannot open a session with the provider",
    }
)

# Sentences and commands that several rows of the advice tables share.

PROBE = "`ekm-exporter probe TARGET`"
# The first step of a code that a probe shows with a reason. After a probe it is done.
FIND_REASON = f"Show the failed step and its `reason`: {PROBE}. Then follow `ekm-exporter explain REASON`."
# A vault that refuses the address of a central exporter may allow that of SQL Server.
CONFIRM = (
    f"On each SQL Server host, see whether the vault refuses it too, and its public address: {PROBE}. If it does not, change nothing there.",
    "Without a probe there, read LastRefused of SQL Server in the vault's Logs: `ekm-exporter script key-users.kql --vault VAULT.vault.azure.net --key KEY`.",
)
REPEAT = for_dba(f"Then repeat the probe: {PROBE}.")
AGAIN = (REPEAT, DO_NOT_RESTART)
CAUSE_IS_ELSEWHERE = "Do not renew the credential: it is not the cause."
SYNCHRONISE = for_dba("Synchronise the clock of the probe's host: `w32tm /resync` on Windows, `chronyc makestep` on Linux.")
SIGN_IN_LOG = "Entra admin center > Monitoring & health > Sign-in logs > Service principal sign-ins"
STATUS_PAGE = "Check Azure's status page: https://azure.status.microsoft."
SHOW_TENANT = "Show the vault's tenant: `az keyvault show --name VAULT --query properties.tenantId`."
MOVED_TENANT = (
    for_vault(
        "After a subscription move, change the vault's tenant: https://learn.microsoft.com/azure/key-vault/general/move-subscription."
    ),
    for_vault("That change invalidates every access policy of the vault, for all users."),
)
USE_ITS_TENANT = (
    SHOW_TENANT,
    for_dba("Compare it with `tenant_id` of the credential, and correct that one if it differs."),
    "Use an application in the vault's tenant. Show whether this one is there: `az ad sp show --id CLIENT_ID --query appId`.",
    *MOVED_TENANT,
    DO_NOT_RESTART,
)
SHOW_CHANGES = "`az monitor activity-log list --resource-id VAULT_ID --offset 6h`"
UNDO = (
    f"Undo the change that the activity log shows: {SHOW_CHANGES}. If it was intended, or if there is none, take the other steps."
)
# Many vaults that refuse one address have one cause.
SAME_ADDRESS = (
    "Several vaults at once: the public address of the host changed, or one change covered all. They see `SEEN_ADDRESS` now; compare it with the rules: "
    "`az keyvault network-rule list --name VAULT`. If these have its older address, the network team gives that one back."
)
SHOW_ZONE_LINKS = "`az network private-dns link vnet list --resource-group DNS_GROUP --zone-name DNS_ZONE`"
# Of the principal, which a managed identity has too. The object id of the application is another one.
FIND_OBJECT_ID = (
    "OBJECT_ID is the principal's: `az ad sp show --id CLIENT_ID --query id --output tsv`. "
    "That of a managed identity is in the portal under Identity of the VM or Arc machine."
)
KEEP_CREDENTIAL = "Change no credential in Entra ID and none in SQL Server until the sentence names it as the cause."
REGISTER = "`az ad app credential reset --id CLIENT_ID --append --cert @CERTIFICATE.pem`"
RESET = "`az ad app credential reset --id CLIENT_ID --append`"
NEW_SECRET = f"Create a new secret and keep the old one: {RESET}."
TEST_SECRET = for_dba(
    "Test it first: give it to the exporter (`secret_file`, `client_secret_file` or `client_secret_env`), then run `ekm-exporter probe TARGET`."
)
# While the present secret works, so that the exporter keeps testing that one too.
STAGE_SECRET = for_dba("Stage it as `next_credential`, so that the exporter tests it: `ekm-exporter docs rollover`.")
# The script takes name and IDENTITY of each credential from SQL Server, so it is right for credentials of several vaults too.
WRITE_SECRET = (
    for_dba(
        "On every replica, write the secret with `sqlcmd`, as the first lines of this script show: `ekm-exporter script alter-credential.sql`."
    ),
    for_dba(
        "The secret there is the client id without hyphens, then its value. Repeat a log backup at once, and 2 hours later run `ekm-exporter script prove.sql`."
    ),
)

# Of a failure that SQL Server shows alone. A probe that failed answers the question.
IF_PROBE_SUCCEEDS = for_dba(
    "Does a probe succeed: `ekm-exporter probe TARGET`? Then only SQL Server's secret is wrong: create none. Its steps: `ekm-exporter explain 401`."
)

# The capital words in commands that only the reader knows, each with the place that has its value.

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "TARGET": "name of a target, then --config.file FILE",
        "REASON": "reason that the probe shows, such as forbidden_rbac",
        "CLIENT_ID": "client_id of the credential, or the first 32 digits of SECRET",
        "OBJECT_ID": "object id of the principal, not its client id: az ad sp show --id CLIENT_ID --query id",
        "CRED": "name in sys.credentials",
        "SECRET_FILE": "path in the configuration",
        "VAULT": "name of the vault: credential_identity in sys.credentials",
        "VAULT_ID": "output of az keyvault show --name VAULT --query id",
        "OTHER_PERMISSIONS": "the principal's other key permissions; leave it out if there are none",
        "OTHER_OPERATIONS": "the key's other permitted operations; leave it out if there are none",
        "NEW_EXPIRY": "the new date, such as 2027-06-30T00:00:00Z",
        "SUBSCRIPTION": "name or id of the vault's subscription: az account list --output table",
        "DNS_GROUP": "resource group of the private DNS zone",
        "PERIMETER": "name of the network security perimeter that the vault is associated with",
        "PROFILE": "name of its profile that the vault is associated with",
        "SUBNET_ID": "resource id of the subnet: az network vnet subnet show --query id",
        "KEY": "name of the key, before the version in KeyUri",
        "DNS_ZONE": "private DNS zone of the vaults: privatelink.vaultcore.azure.net in the public cloud",
        "VERSION": "end of KeyUri in the registry",
        "HOST": "host name of the vault, or the sign-in host at step token",
        "PROXY": "host:port of the proxy",
        "ADDRESS": "public address of the SQL Server host, which the vault refuses: a probe on that host shows it",
        "ACCOUNT": 'account that runs the exporter; of the service on Windows: "NT SERVICE\\ekm-exporter"',
        "DB": "name of the database",
        "PROVIDER": "name in sys.cryptographic_providers",
        "GROUP": "resource group of the VM",
        "VM": "name of the VM in Azure",
        "PATH": "full path of the connector's DLL",
        "EKM_KEY": "name of the asymmetric key in SQL Server",
        "EKM_LOGIN": "name of the login that is made from that key",
        "YOUR_LOGIN": "name of your own login: SELECT SUSER_SNAME()",
        "THUMBPRINT": "number after thumbprint in the message: 0x...",
        "PASSWORD": "password of the database master key",
    }
)
_SPAN = re.compile(r"`([^`]*)`")
# A word in capitals right after another one is of SQL: ASYMMETRIC KEY, BY PASSWORD.
START_OF_WORD, END_OF_WORD = r"(?<![\w-])(?<![A-Z] )", r"(?![\w-])"
_ANY_WORD = re.compile(START_OF_WORD + "(?:" + "|".join(WORDS) + ")" + END_OF_WORD)


def words_in(texts: Iterable[str], commands: Iterable[str] = ()) -> tuple[tuple[str, str], ...]:
    """Return the words of the commands in `texts` and of whole `commands`, each with its meaning."""
    found = set(_ANY_WORD.findall("\n".join((*(span for text in texts for span in _SPAN.findall(text)), *commands))))
    return tuple((word, meaning) for word, meaning in WORDS.items() if word in found)
