"""Rows of the checks that only the SQL Server host or its SQL Servers show, each with its commands; what each SQL right shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from exporter.knowledge.checks_vault import Check, FailureMoment
from exporter.knowledge.code_row import ADD_CHECKPOINT, GRANT_RIGHT, REGISTRY_KEY, SHOW_RIGHTS

_SHOW_DLL = """\
SELECT p.name, p.version, p.dll_path, p.is_enabled, m.file_version FROM sys.cryptographic_providers AS p
  LEFT JOIN sys.dm_os_loaded_modules AS m ON m.name = p.dll_path;"""
SHOW_RUNTIME = (
    r"Get-ItemProperty HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\* |"
    " Where-Object DisplayName -like '*Visual C++*' | Select-Object 'DisplayName', 'DisplayVersion'"
)
_TURN_ON = """\
EXEC sp_configure 'show advanced options', 1; RECONFIGURE;
EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;"""
_SHOW_TLS = r"Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client'"
_INTERNET_SETTINGS = r"Registry::HKEY_USERS\$sid\Software\Microsoft\Windows\CurrentVersion\Internet Settings"
_SHOW_PROXY = f"""\
$sid = ([Security.Principal.NTAccount]'SQL_SERVICE').Translate([Security.Principal.SecurityIdentifier]).Value
Get-ItemProperty "{_INTERNET_SETTINGS}" | Select-Object 'ProxyEnable', 'ProxyServer', 'ProxyOverride', 'AutoConfigURL'"""
_SET_PROXY = f"""\
$key = "{_INTERNET_SETTINGS}"
Set-ItemProperty -Path $key -Name 'ProxyServer' -Value 'proxy.example.com:3128'
Set-ItemProperty -Path $key -Name 'ProxyEnable' -Value 1 -Type DWord"""
_GRANT, _ADD_CHECKPOINT = "\n".join(GRANT_RIGHT), "\n".join(ADD_CHECKPOINT)
_NO_PROVIDER_NEXT = "At its next start, SQL Server loads no provider, so it gets no key, and no encrypted database opens."

HOST: tuple[Check, ...] = (
    Check(
        name="connector_version",
        title="Version of the connector",
        question="Which build of the connector's DLL does SQL Server load?",
        looked_up="the version of the DLL in its folder, or at the path in a reading",
        moment=FailureMoment.LOAD,
        effect=_NO_PROVIDER_NEXT,
        actions=(
            f"In SQL Server. `is_enabled` must be 1, and `file_version` is the DLL that runs: `{_SHOW_DLL}`.",
            "On the host, in PowerShell, with that path: `Get-Item 'PATH' | Format-List 'LastWriteTime', 'VersionInfo'`.",
            "Expected: 15.0.2000.440, DLL of 9 November 2024. One of 11 September 2020 has the same number, but no managed identity.",
            "15.0.300.96, DLL of 30 January 2018, calls itself 1.0.5.0 too.",
            "Build and path must be equal on all nodes. `version` in the catalog may be that from before an upgrade.",
        ),
    ),
    Check(
        name="vc_runtime",
        title="Visual C++ runtime",
        question="Is the Visual C++ runtime installed that the connector needs (message 33027)?",
        looked_up="the list of installed programs",
        moment=FailureMoment.LOAD,
        effect=_NO_PROVIDER_NEXT,
        actions=(
            f"In PowerShell. Expected for connector 1.0.5.0: 2015 (or 2015-2022) for SQL Server 2016 to 2025, 2013 for older ones: `{SHOW_RUNTIME}`.",
        ),
    ),
    Check(
        name="ekm_enabled",
        title="EKM provider enabled",
        question="Is the option enabled, and is the provider registered and enabled?",
        looked_up="a reading, with `sql_servers`",
        moment=FailureMoment.LOAD,
        effect="SQL Server loads no provider, so it gets no key: backups fail, and after a restart no encrypted database opens.",
        actions=(
            "In SQL Server. Expected: 1: `SELECT name, value_in_use FROM sys.configurations WHERE name = 'EKM provider enabled';`.",
            f"To turn it on: `{_TURN_ON}`.",
        ),
    ),
    Check(
        name="registry_rights",
        title="Registry rights",
        question="Does the service account have Full Control of the connector's registry key?",
        looked_up="the access list of the key and its subkeys, for each service account; the entries",
        code=2058,
        moment=FailureMoment.SETUP,
        actions=(
            f"In PowerShell. The service account must have FullControl of this key; the connector's subkeys inherit it: `{SHOW_RIGHTS}`.",
            f"To grant it, as an administrator, with your service account. Restart the SQL Server service later, when no check fails: `{_GRANT}`.",
        ),
    ),
    Check(
        name="cluster_checkpoint",
        title="Cluster checkpoint",
        question="In a failover cluster: is there a registry checkpoint for that key?",
        looked_up="whether a cluster fails over a SQL Server of this host; not the checkpoint",
        code=2058,
        moment=FailureMoment.KEY,
        actions=(
            f"In PowerShell, on a node of a failover cluster. Expected: {REGISTRY_KEY}: `Get-ClusterCheckpoint -RegistryCheckpoint`.",
            f"To add it, with your resource's name: `{_ADD_CHECKPOINT}`.",
        ),
    ),
    Check(
        name="windows_tls",
        title="TLS of Windows",
        question="Does Windows enable TLS 1.2 for programs, and trust the authorities?",
        looked_up="a request of Windows to the vault; SCHANNEL, cipher suites, FIPS",
        code=3008,
        actions=(
            f"In PowerShell. TLS 1.2 is enabled if Enabled is not 0, or if the key is missing (on Windows Server 2008 R2, it is then off): `{_SHOW_TLS}`.",
        ),
    ),
    Check(
        name="service_proxy",
        title="Proxy of the service",
        question="Which proxy does the service account of SQL Server use?",
        looked_up="the settings of each service account for WinINet, and those of WinHTTP",
        code=3008,
        actions=(
            rf"In PowerShell. Expected: the `proxy` of the module. SQL_SERVICE is for example NT SERVICE\MSSQLSERVER: `{_SHOW_PROXY}`.",
            f"To set it, in the same session, with your proxy. Restart the SQL Server service later, when no check fails: `{_SET_PROXY}`.",
        ),
    ),
    Check(
        name="sql_credential",
        title="Credential in SQL Server",
        question="Which vault does the credential name, and when was its secret changed?",
        looked_up="a reading, with `sql_servers`",
        code=3303,
        actions=(
            "In SQL Server. `credential_identity` must be `'VAULT'`: `SELECT name, credential_identity, modify_date FROM sys.credentials WHERE target_type = 'CRYPTOGRAPHIC PROVIDER';`.",
            "A restart proves a new secret, and so does a backup that starts two hours after `modify_date`.",
        ),
    ),
    Check(
        name="event_log",
        title="Event log of the connector",
        question="Which events did the connector write?",
        looked_up="the last 20 events",
        actions=(
            "In PowerShell: `Get-WinEvent -MaxEvents 20 -FilterHashtable @{LogName='Application'; ProviderName='SQL Server Connector for Microsoft Azure Key Vault'}`.",
        ),
    ),
)

# Rows of the checks of a target's SQL Servers, and what each right shows.

_check = partial(
    Check,
    effect="The exporter reports nothing that this SQL Server alone can show, such as its last backup. SQL Server itself is not affected.",
)

SQL: tuple[Check, ...] = (
    _check(
        name="sql_connection",
        title="Connection to SQL Server",
        question="Does each SQL Server of the target answer, encrypted and with a certificate that is verified?",
        actions=(
            "Do what the line above names. The page `sql-servers` of the documentation shows how to trust the server's certificate.",
        ),
    ),
    _check(
        name="sql_login",
        title="Login of SQL Server",
        question="Does each SQL Server accept the login, or Entra ID its credential?",
        actions=(
            "Correct user, password or credential of this server in `sql_servers`. The server's error log shows the reason.",
            "`run` tries again when the secret changes, or after an hour: a login that is refused too often may be locked.",
        ),
    ),
    _check(
        name="sql_rights",
        title="Rights in SQL Server",
        question="May the login read every section? Without a right, all that the other sections show remains: a warning.",
    ),
    _check(
        name="sql_labels",
        title="Labels of SQL Server",
        question="Do the labels `sql_instance` and `host` equal the names that SQL Server has, and do the target's `instances` name it alone?",
        actions=(
            "Correct `sql_instance` and `host` of this server in `sql_servers`, or of the `instances` of the target, with the domain if two domains have that host.",
        ),
    ),
    _check(
        name="sql_keys",
        title="Keys of SQL Server",
        question="Does each SQL Server of the target use the key version that the target pins, and does a target probe its other keys?",
    ),
    Check(
        name="sql_closed",
        title="Open databases",
        question="Did every database of the SQL Servers open, so that none is RECOVERY PENDING or SUSPECT?",
        effect="Applications cannot use the closed databases. Restart nothing: open databases would close too.",
        actions=(
            "The page `recovery-pending` of the documentation is the way: `ekm-exporter docs recovery-pending`.",
            "When the cause is repaired, open each one: `ALTER DATABASE [DB] SET ONLINE;`. In an availability group, restart that node's service instead.",
        ),
    ),
    Check(
        name="sql_proof",
        title="SQL Server itself",
        question="Which start or backup last proved each key, and does the error log show failures since?",
        effect="Whatever a probe shows, backups fail, and databases stay closed at the next restart.",
        actions=(
            "The line above names the SQL Server, and what it lacks. Read about its code, if it has one: `ekm-exporter explain CODE`.",
            "A proof without a restart: `ekm-exporter script prove.sql`.",
        ),
    ),
)

# The numbers of messages about a missing right.
_DENIED = re.compile(r"message (?:229|230|262|297|300|371|916): |the login may not ")


def is_denied(message: str) -> bool:
    """Whether a section was not read because the login lacks a right."""
    return _DENIED.match(message) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlRight:
    """A right of the login, how to grant it, and the sections that need it."""

    name: str
    granted_by: str
    sections: tuple[str, ...]
    without: str  # the loss without the right
    is_optional: bool = False

    @property
    def action(self) -> str:
        """A sentence for the DBA."""
        return f"`{self.name}` is missing: run {self.granted_by}. Without it, {self.without}."


SQL_RIGHTS: tuple[SqlRight, ...] = (
    SqlRight(
        name="VIEW ANY DEFINITION",
        granted_by="part 1 of `login.sql`",
        sections=("credentials", "keys", "logins", "replicas"),
        without="keys, their logins and credentials are unknown, so nothing proves a key; limit and disk of a log are unknown",
    ),
    SqlRight(
        name="VIEW ANY DATABASE",
        granted_by="part 1 of `login.sql`",
        sections=("databases",),
        without="databases are missing, with their backups and logs",
    ),
    SqlRight(
        name="VIEW SERVER SECURITY STATE",
        granted_by="part 2 of `login.sql`",
        sections=("encryption", "opened"),
        without="it is unknown which key protects a database, and when SQL Server opened that key",
    ),
    SqlRight(
        name="VIEW SERVER PERFORMANCE STATE",
        granted_by="part 2 of `login.sql`",
        sections=("modules", "service", "logs", "nodes", "trace", "calls"),
        without="the version of the loaded DLL, the room in the logs, the nodes of a failover cluster instance and recorded calls are unknown",
    ),
    SqlRight(
        name="SELECT on msdb.dbo.backupset",
        granted_by="part 3 of `login.sql`",
        sections=("history", "backups"),
        without="no backup proves a key, so a secret counts as not proven until the next start",
    ),
    SqlRight(
        name="EXECUTE on sys.xp_readerrorlog",
        granted_by="part 4 of `login.sql`",
        sections=("errors", "log"),
        without="the codes of failed backups are unknown: only their absence shows",
        is_optional=True,
    ),
    SqlRight(
        name="EXECUTE on xp_regenumkeys and xp_regread",
        granted_by="part 5 of `login.sql`",
        sections=("registry",),
        without="the KeyUri is unknown: public keys show the version instead",
        is_optional=True,
    ),
)


def missing_right(section: str, message: str) -> SqlRight | None:
    """Return the right that a section lacks, by the message of SQL Server.

    The result is None if the message is about another fault.
    """
    if not is_denied(message):
        return None
    by_name = (right for right in SQL_RIGHTS if right.name in message)
    return next(by_name, None) or next((right for right in SQL_RIGHTS if section in right.sections), None)
