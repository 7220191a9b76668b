"""What SQL Server shows around a failure and that is no code: its messages, and the states of a database or replica.

A table, in the order in which a paste that has several is explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.explain.known_texts import CONNECTOR_TEXTS, SERVICE_TEXTS, KnownText
from exporter.knowledge.checks_host import SHOW_RUNTIME
from exporter.knowledge.code_row import DLL_VERSION, DO_NOT_RESTART, EVENT_LOG, IF_IN_USE, STOP_WRITERS, for_identity

# A database that cannot open or write, which follows from another failure.

_WHY = "Find the first failure before it in the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`. Explain its code, often 3303, 3113 or 3106."
_ALSO_33111 = "Without such a line, search for message 33111: `EXEC sys.sp_readerrorlog 0, 1, N'thumbprint';`."
_PROBE = "Test the vault side: `ekm-exporter probe TARGET`."
_NO_KEY = "The database is encrypted, and SQL Server got no key: secret, permission, network, registry or DLL."
_FILES = "A file, the disk or a drive is missing or full. The error log names it."
_RECOVER = (
    _WHY,
    "If SQL Server restarted since, do the same in the error log before: `EXEC sys.sp_readerrorlog 1, 1, N'provider';`.",
    _ALSO_33111,
    _PROBE,
    "Do not detach or drop the database, do not rebuild its log, and do not run a repair: the data is intact if only the key is missing.",
    (
        "When the probe succeeds and `doctor` fails no check, open it: `ALTER DATABASE [DB] SET ONLINE;`. A database of a group refuses "
        "that: restart only that node's service."
    ),
    "The page with all of it, and whom to call: `ekm-exporter docs recovery-pending`.",
)
_BACKUP_CAUSES = (
    "Each backup of an encrypted database needs the key. If the vault side fails, log backups fail too, and the log grows.",
    "A restore needs the key version that encrypted the backup (message 33111).",
    "The disk or share of the backup is full or cannot be reached.",
)
_NOT_THE_KEY = "The vault and its key are not the cause."
_CHECK_FILE = (
    "Check the path in the message, the space there, and the rights of SQL Server's service account: "
    "`SELECT servicename, service_account FROM sys.dm_server_services;`."
)


def _file(number: int, title: str, pattern: str, summary: str, *actions: str) -> KnownText:
    """Build a message about a file or a device."""
    return KnownText(
        number=number,
        title=title,
        pattern=pattern,
        summary=f"{summary} {_NOT_THE_KEY}",
        causes=(
            "Access denied (5): SQL Server's service account has no right to the file or share.",
            "Not found (2, 3, 53): the disk, folder or share is missing. No space (112): the disk is full.",
        ),
        actions=(_CHECK_FILE, *actions),
    )


_BACKUP_ACTIONS = (
    "Explain the message before this one: `ekm-exporter explain`, with its whole text.",
    _PROBE,
    "Watch the space of the log until log backups succeed again.",
)

DATABASE_MESSAGES: tuple[KnownText, ...] = (
    KnownText(
        title="A backup or restore at Azure storage failed: the storage account, not the vault",
        pattern=r"\.blob\.core\.|backup to url received",
        summary="SQL Server could not read or write a blob. The text says nothing about the key that encrypts the backup.",
        causes=(
            "The signature (SAS) or key in the credential of the storage has expired or lacks a right.",
            "The firewall of the storage account refuses this host.",
            "The blob has a lease, or too many blocks.",
        ),
        actions=(
            "Read the HTTP status in the message: 403 is the signature or the firewall, 404 the container, 412 a lease.",
            "Create a new signature, and alter the credential with the name of the container.",
            "A line with a provider's code at the same time is another failure: explain it by itself.",
        ),
    ),
    KnownText(
        number=3414,
        title="Recovery failed, so the database did not start",
        pattern="an error occurred during recovery, preventing the database",
        summary="SQL Server could not recover the database, so it is not available. An earlier line in the error log names the cause.",
        causes=(_NO_KEY, _FILES),
        actions=_RECOVER,
    ),
    KnownText(
        number=9001,
        title="The log for the database is not available",
        pattern="the log for database [^\n]{0,140} is not available",
        summary="SQL Server closed the database's log, so nothing can be written. SQL Server needs the key for every new virtual log file, so a vault that cannot be reached has this effect on a busy database.",
        causes=(
            "SQL Server got no key when it created a virtual log file. Startup trace flag 15025 spares only this request.",
            _FILES,
        ),
        actions=(*_RECOVER, DO_NOT_RESTART),
    ),
    KnownText(
        number=9002,
        title="The transaction log is full",
        pattern="the transaction log for database [^\n]{0,140} is full",
        summary="The log cannot grow, so the database stops writing. If log backups fail for lack of the key, the log is not truncated.",
        causes=(
            "Log backups of the encrypted database fail: each backup needs the key.",
            "No log backup runs, a transaction is open, or a replica does not receive the log.",
        ),
        actions=(
            "Show the reason: `SELECT name, log_reuse_wait_desc FROM sys.databases;`.",
            f"For LOG_BACKUP: {STOP_WRITERS[0].lower()}{STOP_WRITERS[1:]}, as loads, index rebuilds and deletes. This needs no vault.",
            "In an availability group, back up the log on a replica that still gets the key: that frees the log of all.",
            f"{_PROBE} If it fails, mend the vault side as its code says. If it succeeds and log backups fail, SQL Server itself gets no key: `EXEC sys.sp_readerrorlog 0, 1, N'provider';` has the code. Then back up the log. The fault ends when the used part of the log falls: `DBCC SQLPERF(LOGSPACE);`.",
            "Free disk, raise `MAXSIZE` or add an .ldf file only if startup trace flag 15025 is on, or SQL Server gets its key again: new virtual log files need it.",
            "For ACTIVE_TRANSACTION or AVAILABILITY_REPLICA, the vault is not the cause: find the open transaction with `DBCC OPENTRAN;`, or the replica that lags.",
            "Until a log backup succeeds, do not restart or fail over SQL Server, and do not shrink the log. Never switch the recovery model: that breaks the chain of log backups.",
        ),
    ),
    *(
        KnownText(
            number=number,
            title=f"{what} of a log record failed",
            pattern=f"during {what.lower()}(?:ing)?(?: of)? a logged operation",
            summary="SQL Server could not apply a log record, so it takes the database offline. An earlier line names the cause.",
            causes=(_NO_KEY, _FILES),
            actions=_RECOVER,
        )
        for number, what in ((3313, "Redo"), (3314, "Undo"))
    ),
    KnownText(
        number=945,
        title="The database cannot be opened: inaccessible files, memory or disk space",
        pattern="cannot be opened due to inaccessible files",
        summary="The database did not open at its start. The message follows from another failure, often a key that SQL Server did not get.",
        causes=(
            f"{_NO_KEY} Then no database of that key opened at that time.",
            f"{_FILES} If another database of the same key opened at that time, it is this, not the vault.",
        ),
        actions=_RECOVER,
    ),
    KnownText(
        number=926,
        title="The database is marked SUSPECT",
        pattern="has been marked suspect by recovery",
        summary="Recovery of the database started and failed, so it is not available. An earlier line in the error log names the cause.",
        causes=(
            _NO_KEY,
            "The storage failed, or a page is damaged: message 823 or 824 is in the error log. That is not the vault.",
            _FILES,
        ),
        actions=_RECOVER,
    ),
    *(
        KnownText(
            number=number,
            title="A page of the database is damaged",
            pattern=pattern,
            summary="The disk returned wrong data. The vault is not the cause, and a key does not help.",
            causes=("The storage or its driver failed.",),
            actions=(
                "Check the storage, and list the damaged pages: `SELECT * FROM msdb.dbo.suspect_pages;`.",
                "Restore the pages from a good backup. It needs the key version that encrypted the backup.",
            ),
        )
        for number, pattern in (
            (823, "the operating system returned error [^\n]{0,80} to sql server during a (?:read|write)"),
            (824, "logical consistency-based i/o error"),
        )
    ),
    _file(
        17204,
        "A file of a database could not be opened",
        "could not open file [^\n]{0,300}for file number",
        "SQL Server could not open a file of a database (.mdf, .ndf, .ldf) at its start. The database stays closed (message 945).",
        "When the file is there again: `ALTER DATABASE [DB] SET ONLINE;`.",
    ),
    _file(
        17207,
        "A file of a database could not be created or opened",
        "occurred while creating or opening file",
        "SQL Server could not create or open a file of a database. The database stays closed (message 945).",
        "When the file is there again: `ALTER DATABASE [DB] SET ONLINE;`.",
    ),
    _file(
        5120,
        "The physical file could not be opened",
        "unable to open the physical file",
        "SQL Server could not open a file of a database (.mdf, .ndf, .ldf).",
    ),
    _file(
        18204,
        "A backup device failed",
        r"backup device '[^'\n]{0,300}' failed to|failure on backup device",
        "SQL Server could not create, open or write the file of a backup: a disk, a share or a right.",
        "A line with a provider's code at the same time is another failure: explain it by itself.",
    ),
    _file(
        3201,
        "The device of a backup could not be opened",
        "cannot open backup device",
        "SQL Server could not open the file of a backup: a disk, a share or a right.",
    ),
    _file(
        3271,
        "The file of a backup could not be read or written",
        "nonrecoverable i/o error occurred on file",
        "SQL Server could not read or write the file of a backup.",
    ),
    KnownText(
        number=3241,
        title="The file is no backup that this SQL Server can read",
        pattern="the media family on device",
        summary=f"SQL Server cannot read the file as a backup. A missing key shows message 33111 instead. {_NOT_THE_KEY}",
        causes=(
            "The file is damaged or incomplete, for example after a copy as text.",
            "A newer SQL Server, or another program, wrote it.",
        ),
        actions=(
            "Compare its size with the original, and read its header where it was written: `RESTORE HEADERONLY FROM DISK = 'FILE';`.",
            "Restore on the same version of SQL Server or a newer one.",
        ),
    ),
    KnownText(
        number=3041,
        title="A backup failed",
        pattern="backup failed to complete the command",
        summary="A backup ended without success. The message before it in the error log names the cause.",
        causes=_BACKUP_CAUSES,
        actions=_BACKUP_ACTIONS,
    ),
    KnownText(
        title="Message 18456 of SQL Server: the database that a login names is not open",
        pattern="failed to open the explicitly specified database|18456[^0-9]{1,40}14[^0-9]{1,24}38(?![0-9])",
        summary="The login is right. The database that it asks for is closed or missing, or the login has no user in it (state 38).",
        causes=(
            "The database is in RECOVERY PENDING or another state: it got no key, or a file is missing.",
            "Its name is misspelt, it was dropped, or the login has no user there.",
        ),
        actions=(
            "Show its state: `SELECT name, state_desc FROM sys.databases;`.",
            "If it is not ONLINE, explain that state: `ekm-exporter explain RECOVERY_PENDING`. Change no password.",
        ),
    ),
    KnownText(
        number=18456,
        title="SQL Server refused a login",
        pattern="login failed for user",
        summary="SQL Server refused the sign-in of a client. It is no code of the connector. If it is the login of the exporter, the exporter tries again after an hour.",
        causes=(
            "The password in the file of the configuration is not that of the login.",
            "The login is missing on this node, disabled or locked, or the server accepts Windows accounts alone.",
        ),
        actions=(
            "Read the reason in SQL Server's error log, which is after `Reason:` in the same message.",
            "Correct the secret's file, and run `ekm-exporter doctor TARGET --config.file ekm.yml`. The exporter tries again when the file changes.",
        ),
    ),
    KnownText(
        number=3013,
        title="The backup or restore ended abnormally",
        pattern=r"(?:backup|restore) \w+ is terminating abnormally",
        summary="This line only ends a failed backup or restore. It is not provider code 3013: the message before it names the cause.",
        causes=_BACKUP_CAUSES,
        actions=_BACKUP_ACTIONS,
    ),
)


def _state(name: str, title: str, summary: str, causes: tuple[str, ...], *actions: str) -> KnownText:
    """Build a state, which is found alone, or next to a word for a database or a state."""
    pattern = rf"^\W*{name}\W*$|\b(?:database|state|state_desc|status)\b[^\n]{{0,160}}\b{name}\b|\({name}\b|\bmarked {name}\b"
    return KnownText(title=f"Database state {title}", pattern=pattern, summary=summary, causes=causes, actions=actions)


STATES: tuple[KnownText, ...] = (
    KnownText(
        title="Database state RECOVERY_PENDING",
        pattern=r"\brecovery[ _]?pending\b",
        summary="SQL Server could not start the recovery of the database: a resource is missing, usually its key or a file. That alone damages no data.",
        causes=(_NO_KEY, _FILES),
        actions=_RECOVER,
    ),
    _state(
        "suspect",
        "SUSPECT",
        "Recovery of the database started and failed. It is not available.",
        (_NO_KEY, _FILES, "The log or a data page is damaged: messages 823, 824 or 3414 without a provider code before them."),
        *_RECOVER,
    ),
    _state(
        "recovering",
        "RECOVERING",
        "SQL Server recovers the database now and opens it afterwards. With a key in the vault, it requests the key first.",
        ("The service started or failed over. A large log takes long.", "The vault or Entra ID responds slowly."),
        "Wait, and follow the progress: `EXEC sys.sp_readerrorlog 0, 1, N'Recovery of database';`.",
        _PROBE,
    ),
    _state(
        "restoring",
        "RESTORING",
        "A restore with NORECOVERY is not finished, or the database is a mirror or secondary. The vault is not the cause.",
        ("A restore waits for the next backup, or it failed.",),
        "If no backup follows, finish it: `RESTORE DATABASE [DB] WITH RECOVERY;`. It needs the key version of the backups.",
    ),
    _state(
        "emergency",
        "EMERGENCY",
        "An administrator set this state: the database is read-only for sysadmin. SQL Server still needs the key to read it.",
        ("`ALTER DATABASE ... SET EMERGENCY` ran.",),
        _WHY,
        _PROBE,
        "Do not run a repair for a missing key: it deletes data and does not help. First make the probe succeed.",
        "Then return the database to normal: `ALTER DATABASE [DB] SET ONLINE;`.",
    ),
    _state(
        "offline",
        "OFFLINE",
        "An administrator took the database offline. SQL Server needs the key to bring it online again.",
        ("`ALTER DATABASE ... SET OFFLINE` ran.",),
        _PROBE,
        "When the probe succeeds: `ALTER DATABASE [DB] SET ONLINE;`.",
    ),
    KnownText(
        title="The vault has a newer version of the key than the pinned one",
        pattern=(
            r"\brotation[ _]?pending\b|\bkey[ _](?:was |is )?rotated\b|^\W*rotated\W*$|\bpinned (?:key )?version\b|\bversion (?:is )?pinned\b"
            r"|\b(?:old|older|newer|newest) key version\b|\bnewer version of (?:the |a )?key\b"
        ),
        summary="SQL Server keeps the version that its key was made from, and does not follow a newer one. Nothing fails while that version stays enabled.",
        causes=(
            "A rotation policy or an administrator of the vault made the version.",
            "A rotation is in progress, or SQL Server uses the new version already and the pin of the target was forgotten.",
        ),
        actions=(
            "Do not disable or delete the old version: databases and backups need it. If it is disabled, enable it: `ekm-exporter explain key_disabled`.",
            "Compare the pin with the version that SQL Server uses, on each node: `ekm-exporter docs production` has the commands (`verify.sql` prints no version).",
            "If SQL Server uses the new version, correct the target: `key`, and the old one under `retained_versions`.",
            "If nobody planned it, let the policy only notify: `az keyvault key rotation-policy show --vault-name VAULT --name KEY`.",
            "Else finish the rotation in office hours: `ekm-exporter docs key-rotation` has the steps.",
            "It is done when `ekm-exporter probe TARGET` shows *vault side ready* and no rotation that is pending.",
        ),
    ),
    KnownText(
        title="Replica state NOT SYNCHRONIZING",
        pattern=r"\bnot[ _]?synchronizing\b|data movement [^\n]{0,60}suspended",
        summary="The replica does not receive or apply the log of the database. An encrypted database also needs its key on this node.",
        causes=(
            _NO_KEY,
            "The key was never created on this node (message 33111).",
            "Data movement is suspended, or the network fails.",
        ),
        actions=(
            _WHY,
            _ALSO_33111,
            "Test the vault side on this node: `ekm-exporter probe TARGET`.",
            "When the cause is repaired, resume: `ALTER DATABASE [DB] SET HADR RESUME;`.",
        ),
    ),
)

# The key provider: its DLL, its session and its credential.

_READ_CODE = "Read the number after `Provider error code:` in the message, and run `ekm-exporter explain` with it."
_ONLY_THERE = "For 401 or 3303 with a probe that succeeds, SQL Server's own secret is wrong: `ekm-exporter explain 401`."
_REGISTER = "Register the DLL: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`. That disables the provider."
_ENABLE = "Enable the provider: `ALTER CRYPTOGRAPHIC PROVIDER [PROVIDER] ENABLE;`."
_TURN_ON = "EXEC sp_configure 'EKM provider enabled', 1; RECONFIGURE;"
_SHOW_LOGINS = "Show which login has which credential: `SELECT SUSER_NAME(principal_id), credential_id FROM sys.server_principal_credentials;`."
_SHOW_PROVIDERS = "Show the providers: `SELECT name, is_enabled, dll_path FROM sys.cryptographic_providers;`."
_REWRITE = (
    "Write the credential again, with the statements of `ekm-exporter script alter-credential.sql`: it keeps each IDENTITY. "
    "The secret is the client id without hyphens, then the secret's value."
)
_LEAVE_IDENTITY = (
    "make a credential with a client secret, and exchange it at the key's login: `ekm-exporter docs managed-identity`."
)
_HALF_UPGRADE = "A connector upgrade is incomplete."
_CODE_NAMES_CAUSE = "The provider code in the message names the cause."


def _coded_message(number: int, title: str, pattern: str, summary: str, test: str = _PROBE) -> KnownText:
    """Build a message whose provider code names the cause."""
    return KnownText(
        number=number,
        title=title,
        pattern=pattern,
        summary=f"{summary} The provider code names the cause.",
        causes=(_CODE_NAMES_CAUSE,),
        actions=(_READ_CODE, test, EVENT_LOG),
        has_code=True,
    )


PROVIDER_MESSAGES: tuple[KnownText, ...] = (
    KnownText(
        number=33027,
        title="Cannot load library",
        pattern="cannot load library",
        summary="SQL Server could not load the connector's DLL. No request was sent to Entra ID or the vault.",
        effect=IF_IN_USE,
        causes=(
            "The x64 Visual C++ runtime is missing: 2015 (14.x) for connector 1.0.5.0 on SQL Server 2016 and later, 2013 (12.x) for older ones.",
            "After an upgrade of the connector, `sys.cryptographic_providers` still has the old path.",
            "The DLL is not at the path in `sys.cryptographic_providers`, or the service account cannot read it.",
        ),
        actions=(
            "An administrator of the host is needed. First read the error log: `EXEC sys.sp_readerrorlog 0, 1, N'library';`.",
            _SHOW_PROVIDERS,
            f"Show the runtimes: `{SHOW_RUNTIME}`.",
            "If the x64 runtime is missing: download `vc_redist.x64.exe` of 2015 (https://www.microsoft.com/download/details.aspx?id=48145), or `vcredist_x64.exe` of 2013 with id=40784 there.",
            "Install it without a restart of Windows, which closes the encrypted databases: `.\\vc_redist.x64.exe /install /passive /norestart`.",
            "If the file is at that path: SQL Server's account needs the right to read and execute it (RX), on each node: `icacls 'PATH'` shows it, and `icacls 'PATH' /grant 'NT SERVICE\\MSSQLSERVER:(RX)'` gives it.",
            f"If the path is wrong: {_REGISTER[0].lower()}{_REGISTER[1:]}",
            _ENABLE,
            (
                "Repeat what failed, such as a log backup. If it succeeds, the fault is over, and message 33080 says that the DLL was loaded: `EXEC sys.sp_readerrorlog 0, 1, N'loaded into memory';`. "
                "Start the service again only if its encrypted databases are closed."
            ),
        ),
    ),
    KnownText(
        number=33028,
        title="Cannot open session for cryptographic provider",
        pattern="cannot open session for",
        summary="SQL Server could not open a session with the provider: sign-in and token. The provider code names the cause.",
        causes=("The provider code in the message names the cause. 3303, a refused secret, is the usual one.",),
        actions=(_READ_CODE, "Test the sign-in: `ekm-exporter probe TARGET`.", _ONLY_THERE),
        has_code=True,
    ),
    _coded_message(
        33022,
        "Cannot obtain the provider's properties",
        "cannot obtain cryptographic provider properties",
        "SQL Server loaded the provider and could not read its properties.",
    ),
    KnownText(
        number=33029,
        title="Cannot initialize cryptographic provider",
        pattern="cannot initialize cryptographic provider",
        summary="SQL Server loaded the provider's DLL and did not accept it: CREATE or ALTER CRYPTOGRAPHIC PROVIDER failed. No request was sent.",
        effect=IF_IN_USE,
        causes=(
            "Provider code 0: each call of the DLL succeeded, and SQL Server still refused it. The builds of both do not fit.",
            "Provider code 1: the DLL could not start on this host.",
            "Another code names the cause itself.",
        ),
        actions=(
            DLL_VERSION,
            f"Show the runtimes: `{SHOW_RUNTIME}`. The connector needs that of its build: `ekm-exporter explain 33027`.",
            "Install the connector build for this SQL Server, and repeat the statement.",
            EVENT_LOG,
        ),
        has_code=True,
    ),
    KnownText(
        number=33030,
        title="Cryptographic provider is not available",
        pattern="cryptographic provider is not available",
        summary="SQL Server does not have the provider at hand: it is not registered, not loaded or disabled.",
        effect=IF_IN_USE,
        causes=("The provider is disabled, or its DLL was not loaded since the start of the service.", _HALF_UPGRADE),
        actions=(_SHOW_PROVIDERS, _ENABLE, "Read the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`."),
    ),
    KnownText(
        number=33031,
        title="Cryptographic provider is disabled",
        pattern="cryptographic provider [^\n]{0,140} is in disabled",
        summary="The provider is registered and disabled, so SQL Server cannot use the keys in the vault.",
        effect=IF_IN_USE,
        causes=("`ALTER CRYPTOGRAPHIC PROVIDER` with `FROM FILE` or DISABLE ran, and ENABLE did not.",),
        actions=(_ENABLE, _SHOW_PROVIDERS),
    ),
    KnownText(
        number=33057,
        title="Cryptographic provider is now disabled",
        pattern="cryptographic provider is now disabled",
        summary="The provider was disabled. Open sessions still use it; every later request for a key fails.",
        effect=IF_IN_USE,
        causes=("`ALTER CRYPTOGRAPHIC PROVIDER` with `FROM FILE` or DISABLE ran.",),
        actions=(_ENABLE, _SHOW_PROVIDERS),
    ),
    KnownText(
        number=33032,
        title="SQL Crypto API version not supported by the provider",
        pattern="sql crypto api version",
        summary="The connector's DLL implements another version of SQL Server's crypto interface. SQL Server does not use it.",
        causes=("The connector build does not fit this version of SQL Server.", _HALF_UPGRADE),
        actions=(DLL_VERSION, "Install the connector build for this SQL Server.", _REGISTER, _ENABLE),
    ),
    KnownText(
        number=33081,
        title="The signature of the DLL could not be verified",
        pattern="authenticode signature on dll",
        summary="SQL Server could not verify the signature of the connector's DLL, or did not find the DLL, so it does not load it.",
        effect=IF_IN_USE,
        causes=(
            "The file is damaged, or it is not Microsoft's connector.",
            "The path in `sys.cryptographic_providers` is wrong.",
            "Windows on this host lacks the authority that signed the DLL, or cannot check its revocation.",
        ),
        actions=(
            "Show the signature: `Get-AuthenticodeSignature 'PATH' | Format-List`.",
            _SHOW_PROVIDERS,
            "Reinstall the connector (https://www.microsoft.com/download/details.aspx?id=45344).",
        ),
    ),
    KnownText(
        number=33082,
        title="Cannot find cryptographic provider library with that guid",
        pattern="cryptographic provider library with guid",
        summary="The statement or a key names a provider by its guid, and this instance has no such provider loaded.",
        causes=(
            "The provider was never created on this instance: a new server, another node, or a restore elsewhere.",
            "The provider was dropped, or another vendor's DLL is registered.",
            "The option `EKM provider enabled` is 0, or the DLL could not be loaded.",
        ),
        actions=(
            "Show the guids of this instance: `SELECT name, guid, is_enabled, dll_path FROM sys.cryptographic_providers;`.",
            f"Turn the option on: `{_TURN_ON}`.",
            "If the provider is missing: `CREATE CRYPTOGRAPHIC PROVIDER [PROVIDER] FROM FILE = 'PATH';`.",
            "Then create credential, asymmetric key and login as on the other nodes.",
        ),
    ),
    KnownText(
        number=33085,
        title="Methods not found in the provider library",
        pattern="methods cannot be found in cryptographic provider library",
        summary="The DLL lacks methods that SQL Server requires, so SQL Server does not use it as a provider.",
        causes=("The file is not the connector, or it is damaged.", _HALF_UPGRADE),
        actions=(DLL_VERSION, "Reinstall the connector.", _REGISTER, _ENABLE),
    ),
    KnownText(
        number=33053,
        title="EKM is disabled or not supported",
        pattern="extensible key management is disabled or not supported",
        summary="SQL Server does not use any key provider, so it cannot use the keys in the vault.",
        causes=("The option `EKM provider enabled` is 0.", "The edition of SQL Server has no EKM."),
        actions=(
            "Show the option: `SELECT value, value_in_use FROM sys.configurations WHERE name = 'EKM provider enabled';`.",
            f"Turn it on: `EXEC sp_configure 'show advanced options', 1; RECONFIGURE; {_TURN_ON}`.",
            "Show the edition: `SELECT SERVERPROPERTY('Edition');`.",
        ),
    ),
    KnownText(
        number=33054,
        title="Extensible key management is not supported in this edition",
        pattern="extensible key management is not supported in this edition",
        summary="This edition of SQL Server has no EKM, so databases with a key in the vault cannot open here.",
        causes=("A database or its backup came from an edition with EKM, or the edition was changed.",),
        actions=("Show the edition: `SELECT SERVERPROPERTY('Edition');`.", "Restore the database on an edition with EKM."),
    ),
    KnownText(
        number=33055,
        title="Exception in the cryptographic provider",
        pattern="exception happened when calling cryptographic provider",
        summary="The connector's DLL failed inside SQL Server, and the process that called it ended. The vault is not the direct cause.",
        causes=("The Visual C++ runtime has the wrong version.", _HALF_UPGRADE, "A defect in the connector build."),
        actions=(EVENT_LOG, DLL_VERSION, "Reinstall the connector with its Visual C++ runtime."),
        codes=(7,),
    ),
    KnownText(
        number=33046,
        title="The login has no credential for the provider",
        pattern="has no credential associated with",
        summary="SQL Server signs in with the credential of the key's login, and this login has none.",
        causes=("`ALTER LOGIN ... ADD CREDENTIAL` did not run for this login.", "The credential is assigned to another login."),
        actions=(_SHOW_LOGINS, "Assign it: `ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];`."),
    ),
    KnownText(
        number=33047,
        title="Fail to obtain or decrypt the secret of a credential",
        pattern="obtain or decrypt secret for",
        summary="SQL Server could not decrypt the secret that it stores with the credential. It sent no request to Entra ID or the vault.",
        causes=(
            "The service master key changed: master was restored elsewhere, or the key was regenerated with FORCE.",
            "The service account was changed without SQL Server Configuration Manager.",
            "The credential has IDENTITY = 'Managed Identity', and this SQL Server does not support that for EKM.",
        ),
        actions=(
            (
                "With IDENTITY = 'Managed Identity', change no secret. It needs the connector of November 2024, and 2022 CU17 on an Azure VM or 2025 on Azure Arc. "
                f"Without these, {_LEAVE_IDENTITY}"
            ),
            "Test the string of a secret first, in the exporter's secret file: `ekm-exporter probe TARGET`.",
            _REWRITE,
            "Do the same for every other credential and linked server: their secrets are lost too.",
        ),
    ),
    KnownText(
        number=33094,
        title="An error occurred while the service master key was prepared",
        pattern="error occurred during service master key",
        summary="SQL Server met an error with its service master key at the start. `SQLErrorCode` in the line is the message that says which.",
        causes=("With 33095, one of the two encryptions of the key could not be opened: usually the other one serves.",),
        actions=(
            "Explain the number after `SQLErrorCode=`, usually `ekm-exporter explain 33095`.",
            "Search for message 33047: `EXEC sys.sp_readerrorlog 0, 1, N'decrypt secret';`. Without it, no secret is lost.",
        ),
    ),
    KnownText(
        number=33095,
        title="Service Master Key could not be decrypted using one of its encryptions",
        pattern="service master key could not be decrypted",
        summary="SQL Server stores its service master key twice: for the service account and for the computer. One of the two could not be decrypted at the start. The other one usually serves. If both fail, SQL Server cannot read the secret of any credential.",
        causes=(
            "The service account was changed without SQL Server Configuration Manager.",
            "The instance runs on another node or computer, or master was restored from another one.",
            "On Linux, the account `mssql` cannot read `/var/opt/mssql/secrets`.",
        ),
        actions=(
            "Search for message 33047: `EXEC sys.sp_readerrorlog 0, 1, N'decrypt secret';`. Without it, no secret is lost.",
            "With it, restore the backup of the service master key: `RESTORE SERVICE MASTER KEY`.",
            f"Without a backup: {_REWRITE[0].lower()}{_REWRITE[1:]}",
        ),
    ),
    KnownText(
        number=33067,
        title="Secret must not contain more than 120 characters",
        pattern="can not contain more than 120 characters",
        summary="SECRET of CREATE or ALTER CREDENTIAL is longer than 120 characters. SQL Server rejected the statement.",
        causes=("The string has extra characters, or the client id contains hyphens.",),
        actions=("Join the client id (32 hex digits, no hyphens) and the client secret without blanks or line breaks.",),
    ),
    KnownText(
        number=37563,
        title="No primary managed identity",
        pattern="primary managed identity is not se",
        summary="SQL Server has no primary managed identity, so it cannot sign in with IDENTITY = 'Managed Identity'.",
        effect=IF_IN_USE,
        causes=("No identity is assigned to the machine, or none is set as the primary one of SQL Server.",),
        actions=(
            (
                "For EKM, a managed identity needs SQL Server 2022 CU17 or later on an Azure VM, or SQL Server 2025 on Azure Arc. SQL Server 2022 on Arc supports none: "
                f"{_LEAVE_IDENTITY}"
            ),
            "On an Azure VM, the first command below assigns an identity, and the second shows its principal id.",
            for_identity(
                "Give that principal User.Read.All, GroupMember.Read.All and Application.Read.All of Microsoft Graph, as a Privileged Role Administrator: "
                "`ekm-exporter docs managed-identity` has the commands."
            ),
            "Then run the last two commands. On Arc, enable it in the portal instead: `SQL Server - Azure Arc > SERVER > Settings > Microsoft Entra ID`.",
            "Repeat the statement that failed. If it succeeds, the fault is over. If it shows 37563 again, restart the service in a planned window. Its encrypted databases then stay closed until SQL Server gets the key: first see that another credential opens it.",
        ),
        commands=(
            "az vm identity assign --resource-group GROUP --name VM",
            "az vm show --resource-group GROUP --name VM --query identity.principalId --output tsv",
            "az sql vm validate-azure-ad-auth --resource-group GROUP --name VM",
            "az sql vm enable-azure-ad-auth --resource-group GROUP --name VM",
        ),
    ),
    KnownText(
        number=37576,
        title="The connector does not support managed identities",
        pattern="connector version [^\n]{0,60} does not support the managed identity",
        summary="The installed connector is too old for managed identities. SQL Server cannot open a session.",
        causes=(
            "The DLL is older than November 2024. The file version 15.0.2000.440 exists twice: that of September 2020 is too old.",
        ),
        actions=(
            DLL_VERSION,
            "Do not compare `version` in the catalog: it is 1.0.5.0 for every build since 2018.",
            "Upgrade the connector (https://www.microsoft.com/download/details.aspx?id=45344), then repeat the statement.",
            EVENT_LOG,
        ),
    ),
)

# Keys in the provider, and database encryption.

_TEST_KEY = "Test the key: `ekm-exporter probe TARGET`."
_SHOW_KEYS = "Show the keys: `SELECT name, thumbprint FROM master.sys.asymmetric_keys;`."
_SHOW_STATES = "Show the states: `SELECT DB_NAME(database_id), encryption_state FROM sys.dm_database_encryption_keys;`."


def _set_up(number: int, title: str, pattern: str, summary: str, cause: str, *actions: str) -> KnownText:
    """Build a message about a statement that SQL Server refused before it needed the vault."""
    return KnownText(
        number=number,
        title=title,
        pattern=pattern,
        summary=f"{summary} The vault is not the cause.",
        causes=(cause,),
        actions=actions,
    )


_WAIT_FOR_SCAN = "Wait until `percent_complete` is 0: `SELECT percent_complete FROM sys.dm_database_encryption_keys;`."
_RETRY = "Wait until backups and other statements on the database end, then repeat it: `SELECT session_id, command FROM sys.dm_exec_requests;`."

# One row a line: number, title, pattern, summary, cause, actions.
SET_UP_MESSAGES: tuple[KnownText, ...] = (
    _set_up(
        33036,
        "The key in the provider was not dropped",
        "cannot drop the key with thumbprint",
        "SQL Server dropped its own entry of the key. The key in the vault stays, which is right: backups need it.",
        "`DROP ASYMMETRIC KEY ... REMOVE PROVIDER KEY` ran. The connector deletes no key in a vault.",
        "Do nothing in the vault. Leave out `REMOVE PROVIDER KEY` next time.",
    ),
    _set_up(
        33038,
        "Operation is not supported by the provider's key",
        "operation is not supported by cryptographic provider key",
        "The statement asks for something that a key in a provider cannot do, such as a password or an export.",
        "The statement is one for SQL Server's own keys.",
        "Do it in the vault, or with a key of SQL Server.",
    ),
    _set_up(
        33042,
        "The credential is mapped to a login already",
        r"cannot add [^\n]{0,60}because it is already mapped to a login",
        "One credential belongs to one login, and another login has this one: often that of the DBA who created the key.",
        "`ALTER LOGIN ... ADD CREDENTIAL` ran for another login before.",
        _SHOW_LOGINS,
        "Take it from the login that no longer needs it: `ALTER LOGIN ... DROP CREDENTIAL [CRED];`. Or create a second credential with the same IDENTITY.",
        "Then give it to the key's login: `ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];`.",
    ),
    _set_up(
        33043,
        "The login has a credential for the provider already",
        r"cannot add [^\n]{0,160}because there is already [^\n]{0,60} specified for the login",
        "A login has at most one credential for each provider.",
        "`ALTER LOGIN ... ADD CREDENTIAL` ran before with another credential.",
        _SHOW_LOGINS,
        "If the other one is old: `ALTER LOGIN [EKM_LOGIN] DROP CREDENTIAL [CRED];`. Then repeat the statement.",
    ),
    _set_up(
        33044,
        "The provider is still referenced",
        r"cannot drop [^\n]{0,80}referencing this provider",
        "Credentials, keys or logins still use the provider.",
        "DROP CRYPTOGRAPHIC PROVIDER ran while a key or credential uses it.",
        "Do not drop keys for it: databases and backups need them. To change the DLL: `ALTER CRYPTOGRAPHIC PROVIDER`.",
        _SHOW_LOGINS,
    ),
    _set_up(
        33045,
        "The credential is not mapped to this login",
        r"cannot drop [^\n]{0,80}because it is not mapped to this login",
        "The login does not have the credential that the statement takes away.",
        "The statement names another login or credential.",
        _SHOW_LOGINS,
    ),
    _set_up(
        33048,
        "Not under a non-primary security context",
        "under non-primary security context",
        "A provider is used with the login's own identity alone, and the statement ran as somebody else.",
        "EXECUTE AS, a module or a job step changes the identity.",
        "Run the statement as the login itself, without EXECUTE AS.",
    ),
    _set_up(
        33050,
        "The provider accepts no key names",
        "provider does not allow specifying key names",
        "The provider names its new keys itself, so it is not Azure's connector, or the key exists already.",
        "CREATE ASYMMETRIC KEY asks for a new key, or the statement names another provider.",
        "Show the providers: `SELECT name, is_enabled, dll_path FROM sys.cryptographic_providers;`.",
        "For a key of a vault: `CREATION_DISPOSITION = OPEN_EXISTING`.",
    ),
    _set_up(
        33080,
        "The library of a provider was loaded",
        "cryptographic provider library [^\n]{0,300} loaded into memory",
        "An informational line: SQL Server loaded the DLL. No action is needed.",
        "The provider was used for the first time since the start.",
    ),
    _set_up(
        33090,
        "SQL Server loads the library of a provider",
        "attempting to load library [^\n]{0,300} into memory",
        "An informational line: SQL Server is about to load the DLL. No action is needed.",
        "The provider is used for the first time since the start.",
        "If message 33027 or 33081 follows, explain that one.",
    ),
    _set_up(
        33101,
        "The private key of a certificate is not usable",
        "its private key is not present or it is not protected by the database master key",
        "The statement uses a certificate of SQL Server, whose private key cannot be opened automatically.",
        "The certificate was restored without its private key, or is protected by a password.",
        "Restore it with its private key, protected by the master key of master: `ekm-exporter explain 15581`.",
        "For a key in the vault, write `ENCRYPTION BY SERVER ASYMMETRIC KEY`.",
    ),
    _set_up(
        33102,
        "A system database cannot be encrypted",
        "cannot encrypt a system database",
        "master, model, msdb and resource cannot be encrypted. tempdb is, as soon as one database is.",
        "The statement ran in a system database.",
        "Change to the user database: `USE [DB];`. Then repeat the statement.",
    ),
    _set_up(
        33103,
        "The database has a database encryption key already",
        "database encryption key already exists for this database",
        "CREATE DATABASE ENCRYPTION KEY ran before in this database.",
        "The database was encrypted before, or by a certificate.",
        _SHOW_STATES,
        "To change its protector: `ALTER DATABASE ENCRYPTION KEY ENCRYPTION BY SERVER ASYMMETRIC KEY [EKM_KEY];`.",
    ),
    _set_up(
        33104,
        "A database encryption key does not exist for this database",
        "database encryption key does not exist for this database",
        "The current database is not encrypted.",
        "The statement ran in another database than intended.",
        "Change to the right database: `USE [DB];`. Then repeat the statement.",
        _SHOW_STATES,
    ),
    _set_up(
        33105,
        "The database encryption key is in use",
        "cannot drop the database encryption key because it is currently in use",
        "The database is encrypted, so its encryption key cannot be dropped.",
        "Decryption has not ended, or was not started.",
        "Decrypt first, if that is intended: `ALTER DATABASE [DB] SET ENCRYPTION OFF;`. Wait for `encryption_state` 1.",
        _SHOW_STATES,
    ),
    _set_up(
        33107,
        "Encryption is on already",
        "cannot enable database encryption because it is already enabled",
        "The database is encrypted, or its scan runs.",
        "SET ENCRYPTION ON ran before.",
        _SHOW_STATES,
    ),
    _set_up(
        33108,
        "Encryption is off already",
        "cannot disable database encryption because it is already disabled",
        "The database is not encrypted.",
        "SET ENCRYPTION OFF ran before, or the statement names another database.",
        _SHOW_STATES,
    ),
    _set_up(
        33109,
        "An encryption scan is in progress",
        "cannot (?:dis|en)able database encryption while an encryption, decryption, or key change scan is in progress",
        "A scan of the database runs, so its encryption cannot change yet.",
        "Encryption, decryption or a key change started earlier.",
        _WAIT_FOR_SCAN,
    ),
    _set_up(
        33110,
        "The key cannot change during an encryption scan",
        "cannot change database encryption key while an encryption",
        "A scan of the database runs, so its encryption key cannot change yet.",
        "Encryption, decryption or a key change started earlier.",
        _WAIT_FOR_SCAN,
    ),
    _set_up(
        33115,
        "No lock for the database encryption key",
        "encryption key failed because a lock could not be placed on the database",
        "Another session holds a lock on the database.",
        "A backup, a snapshot or another change of the database runs.",
        _RETRY,
    ),
    _set_up(
        33116,
        "No lock for the database encryption key of the named database",
        "encryption key failed because a lock could not be placed on database",
        "Another session holds a lock on the database.",
        "A backup, a snapshot or another change of the database runs.",
        _RETRY,
    ),
    _set_up(
        33117,
        "This edition has no transparent data encryption",
        "transparent data encryption is not available in the edition",
        "Transparent data encryption needs Enterprise, or Standard since SQL Server 2019.",
        "The statement or a restore of an encrypted database ran on another edition.",
        "Show edition and version: `SELECT SERVERPROPERTY('Edition'), SERVERPROPERTY('ProductVersion');`.",
    ),
    _set_up(
        33118,
        "The database is read-only or not recovered",
        "cannot enable or modify database encryption on a database that is read-only",
        "The encryption of a database changes only while it can be written.",
        "The database or a file of it is read-only, or it is a secondary replica or closed.",
        "Show it: `SELECT name, state_desc, is_read_only FROM sys.databases;`. Run the statement on the primary replica.",
    ),
    _set_up(
        33119,
        "A filegroup cannot change during an encryption scan",
        "cannot modify filegroup read-only/read-write state while an encryption",
        "A scan of the database runs.",
        "Encryption, decryption or a key change started earlier.",
        _WAIT_FOR_SCAN,
    ),
    _set_up(
        33122,
        "A log backup is pending",
        "pending log backup",
        "Changes of earlier encryption scans wait for a log backup.",
        "The key was changed twice without a log backup in between.",
        "Take a log backup, then repeat the statement: `BACKUP LOG [DB] TO DISK = 'FILE';`.",
    ),
    _set_up(
        33123,
        "The key is in use on a mirror or secondary replica",
        "in use on a mirror or secondary availability replica",
        "A secondary replica still needs the earlier encryption key.",
        "The scan has not reached every replica, or a replica is disconnected.",
        "Wait until every replica is synchronized: `SELECT * FROM sys.dm_hadr_database_replica_states;`.",
    ),
    _set_up(
        15507,
        "A key of SQL Server appears to be damaged",
        "a key required by this operation appears to be corrupted",
        "SQL Server cannot decrypt a key that it stores itself, such as a master key. The key in the vault is another one.",
        "The service master key changed, or a database with its master key came from another server.",
        "In the database, open its master key with its password: `OPEN MASTER KEY DECRYPTION BY PASSWORD = 'PASSWORD';`.",
        "Then: `ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY;`.",
        "For a credential, see `ekm-exporter explain 33047`.",
    ),
    _set_up(
        15508,
        "SQL Server could not generate a key",
        "an error occurred while generating a key required by this operation",
        "SQL Server's own generation of a key failed, for example of a database encryption key.",
        "A defect of this build, such as early ones on Linux, or a policy of the host about cryptography.",
        "Read the error log at the same time: `EXEC sys.sp_readerrorlog 0, 1, N'key';`.",
        "Install the newest cumulative update, and repeat the statement.",
    ),
    _set_up(
        15247,
        "No permission for this statement",
        "user does not have permission to perform this action",
        "The login lacks a right in SQL Server.",
        "The provider needs CONTROL SERVER, a credential ALTER ANY CREDENTIAL, a login ALTER ANY LOGIN, an option ALTER SETTINGS.",
        "Show the rights of this login: `SELECT permission_name FROM sys.fn_my_permissions(NULL, 'SERVER');`.",
        "Grant the missing right, or let a member of sysadmin run the statement.",
    ),
)

KEY_MESSAGES: tuple[KnownText, ...] = (
    KnownText(
        number=33049,
        title="Key does not exist in the provider or access is denied",
        pattern="does not exist in the provider or access is denied",
        summary="SQL Server opened the session, but the provider did not return the key. The provider code names the cause.",
        causes=(
            _CODE_NAMES_CAUSE,
            "2058: the registry key of the connector is missing or not writable. The vault is not the cause.",
        ),
        actions=(
            _READ_CODE,
            _TEST_KEY,
            _ONLY_THERE,
        ),
        has_code=True,
    ),
    _coded_message(
        33035,
        "Cannot create key in the provider",
        r"cannot create key .{0,140} in the provider\. provider error",
        "SQL Server could not create or open the key in the provider.",
        _TEST_KEY,
    ),
    _coded_message(
        33037,
        "Cannot export the key from the provider",
        "from the provider. provider error",
        "SQL Server could not read the key.",
        _TEST_KEY,
    ),
    _coded_message(
        33039, "Invalid algorithm", "invalid algorithm '", "The provider does not know the algorithm of the key.", _TEST_KEY
    ),
    _coded_message(
        33051, "Invalid algorithm id", "invalid algorithm id", "The provider does not know the algorithm of the key.", _TEST_KEY
    ),
    _coded_message(
        33089,
        "Key validation failed",
        "key validation failed since",
        "SQL Server could not read the algorithm of the key.",
        _TEST_KEY,
    ),
    KnownText(
        number=33087,
        title="A property of the key differs from the expected value",
        pattern="property of the key returned by ekm provider",
        summary="The provider returned a key that differs from the one in SQL Server, so SQL Server does not use it.",
        causes=(
            "The key was created again under the same name, or restored from another key.",
            "The nodes have different connector builds.",
        ),
        actions=(
            _SHOW_KEYS,
            "Compare the key and its version with the vault: `az keyvault key list-versions --vault-name VAULT --name KEY`.",
        ),
    ),
    KnownText(
        title="Message 33111 of SQL Server: Cannot find server certificate with thumbprint",
        pattern="cannot find server certificate|33111(?![0-9]|[^\n]{0,60}asymmetric)[^\n]{0,90}(?:zertifikat|certifica|\u8a3c\u660e\u66f8|\u8bc1\u4e66|\u0441\u0435\u0440\u0442\u0438\u0444\u0438\u043a\u0430\u0442)",
        summary="A certificate of SQL Server encrypts this database or backup, and this instance does not have it. The vault and its key are not the cause.",
        causes=("The backup or database comes from a server whose certificate was not restored here.",),
        actions=(
            "On the server that it comes from, back up the certificate with its private key: `BACKUP CERTIFICATE`.",
            "Create it here in master from those files: `CREATE CERTIFICATE ... FROM FILE ... WITH PRIVATE KEY`. Then repeat the restore.",
        ),
    ),
    KnownText(
        number=33111,
        title="Cannot find server asymmetric key with thumbprint",
        pattern="cannot find server asymmetric key with thumbprint",
        summary="This instance has no asymmetric key with that thumbprint. The database or backup that needs it does not open here; others are not affected. The message carries no provider code.",
        causes=(
            "The key was never created on this replica or node.",
            "A backup is restored on a server without the key that encrypted it.",
            "The key was created with connector 1.0.4.0, which computes thumbprints differently from 1.0.5.0.",
        ),
        actions=(
            "Run the query below on all nodes. The node with a row shows which key it is, and its registry shows the version (`KeyUri`).",
            "If only this node has no row, create the key there with the same version, then its login. Your own login (`SELECT SUSER_SNAME();`) has the credential meanwhile.",
            "For a backup made with 1.0.4.0, the older DLL, a key made under it and two restarts are needed: `ekm-exporter docs sql-host`.",
        ),
        commands=(
            "SELECT name FROM master.sys.asymmetric_keys WHERE thumbprint = THUMBPRINT;",
            "ALTER LOGIN [YOUR_LOGIN] ADD CREDENTIAL [CRED];",
            "CREATE ASYMMETRIC KEY [EKM_KEY] FROM PROVIDER [PROVIDER]",
            "  WITH PROVIDER_KEY_NAME = 'KEY/VERSION', CREATION_DISPOSITION = OPEN_EXISTING;",
            "ALTER LOGIN [YOUR_LOGIN] DROP CREDENTIAL [CRED];",
            "CREATE LOGIN [EKM_LOGIN] FROM ASYMMETRIC KEY [EKM_KEY];",
            "ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];",
        ),
    ),
    KnownText(
        number=33120,
        title="The key is not in an EKM provider",
        pattern="that resides on an extensible key management provider",
        summary="A database encryption key needs an asymmetric key from the provider. The named key is one of SQL Server's own.",
        causes=("CREATE ASYMMETRIC KEY ran without `FROM PROVIDER`.", "The statement names another key."),
        actions=(_SHOW_KEYS, "Name the key from the provider in `ENCRYPTION BY SERVER ASYMMETRIC KEY`."),
    ),
    KnownText(
        number=33121,
        title="The key has no login",
        pattern="does not have a login associated with it",
        summary="SQL Server opens the key with a login that was made from it, and this key has none.",
        causes=("`CREATE LOGIN ... FROM ASYMMETRIC KEY` did not run for this key.",),
        actions=(
            "Create it: `CREATE LOGIN [EKM_LOGIN] FROM ASYMMETRIC KEY [EKM_KEY];`.",
            "Give it the credential: `ALTER LOGIN [EKM_LOGIN] ADD CREDENTIAL [CRED];`.",
        ),
    ),
    KnownText(
        number=15151,
        title="Cannot find the object, or no permission",
        pattern="cannot (?:find|alter|drop) the (?:(?:a?symmetric|master) key|credential|cryptographic provider|login|certificate|user)[^\n]{0,200}because it does not exist or you do not have permission",
        summary="The object that the message names does not exist here, or the login may not see it. SQL Server sent no request to the vault.",
        causes=(
            "The statement ran in another database. Asymmetric keys of TDE are in master.",
            "The key, credential, login or provider was never created on this replica or node.",
            "The login lacks the permission, for example `VIEW ANY DEFINITION` or CONTROL on the key.",
        ),
        actions=(
            _SHOW_KEYS,
            "Show the credentials: `SELECT name, credential_identity FROM sys.credentials;`.",
            "Show the providers: `SELECT name, is_enabled FROM sys.cryptographic_providers;`.",
            "Repeat the statement in master, or create the missing object as on the other nodes.",
        ),
    ),
    KnownText(
        number=15581,
        title="Please create a master key in the database or open the master key",
        pattern="create a master key in the database or open the master key",
        summary="The statement or database needs a database master key: it uses a certificate, or a credential of a database. A key in the vault needs none, so the vault is not the cause.",
        causes=(
            "The database is encrypted by a certificate, and the master key of master does not open with the service master key.",
            "A database credential or certificate is created where no master key exists.",
        ),
        actions=(
            "Show what protects each database: `SELECT DB_NAME(database_id), encryptor_type FROM sys.dm_database_encryption_keys;`.",
            "For a certificate, in master: `OPEN MASTER KEY DECRYPTION BY PASSWORD = 'PASSWORD';`.",
            "Then, in the same session: `ALTER MASTER KEY ADD ENCRYPTION BY SERVICE MASTER KEY;`.",
            "If there is none and a certificate is intended: `CREATE MASTER KEY ENCRYPTION BY PASSWORD = 'PASSWORD';`.",
        ),
    ),
    KnownText(
        number=33106,
        title="Cannot change database encryption state because no database encryption key is set",
        pattern="no database encryption key is set",
        summary="The database has no encryption key of its own, so SET ENCRYPTION cannot start. The vault is not the cause.",
        causes=(
            "CREATE DATABASE ENCRYPTION KEY ran in another database, often in master: the statement works on the current one.",
            "The statement failed, and the script went on.",
        ),
        actions=("Run the commands below in the user database.", _SHOW_STATES),
        commands=(
            "USE [DB];",
            "CREATE DATABASE ENCRYPTION KEY WITH ALGORITHM = AES_256",
            "  ENCRYPTION BY SERVER ASYMMETRIC KEY [EKM_KEY];",
            "ALTER DATABASE [DB] SET ENCRYPTION ON;",
        ),
    ),
)

# The order decides if a paste has several: a message about the provider comes before a state that follows from it.
TEXTS: tuple[KnownText, ...] = (*CONNECTOR_TEXTS, *PROVIDER_MESSAGES, *KEY_MESSAGES, *SET_UP_MESSAGES, *DATABASE_MESSAGES)
KNOWN_TEXTS: tuple[KnownText, ...] = (*TEXTS, *SERVICE_TEXTS, *STATES)
MESSAGES: Mapping[int, KnownText] = MappingProxyType({each.number: each for each in TEXTS if each.number is not None})
# An event with one of these messages is worth a line whatever its text is: they are about providers, keys and encryption.
_INFORMATIONAL = {33080, 33090}
EKM_MESSAGES = frozenset(number for number in MESSAGES if number >= 33000) - _INFORMATIONAL
