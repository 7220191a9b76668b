"""Messages and states of a database that cannot open or write, which follow from another failure."""

from __future__ import annotations

from exporter.core.codes.shared import DO_NOT_RESTART
from exporter.explain.known_text import KnownText

_WHY = (
    "Find the first failure before it in the error log: `EXEC sys.sp_readerrorlog 0, 1, N'provider';`. Explain its provider code."
)
_ALSO_33111 = "Without such a line, search for message 33111: `EXEC sys.sp_readerrorlog 0, 1, N'thumbprint';`."
_PROBE = "Test the vault side: `ekm-exporter probe TARGET`."
_BRING_BACK = (
    "When the probe succeeds, open the database: `ALTER DATABASE [DB] SET ONLINE;`. A database of an availability group refuses "
    "that: restart only that node's service."
)
_KEEP = "Do not detach or drop the database, do not rebuild its log, and do not run a repair: the data is intact if only the key is missing."
_NO_KEY = "The database is encrypted, and SQL Server got no key: secret, permission, network, registry or DLL."
_FILES = "A file, the disk or a drive is missing or full. The error log names it."
_RECOVER = (_WHY, _ALSO_33111, _PROBE, _KEEP, _BRING_BACK)
_BACKUP_CAUSES = (
    "Each backup of an encrypted database needs the key. If the vault side fails, log backups fail too, and the log grows.",
    "A restore needs the key version that encrypted the backup (message 33111).",
    "The disk or share of the backup is full or cannot be reached.",
)
_BACKUP_ACTIONS = (
    "Explain the message before this one: `ekm-exporter explain`, with its whole text.",
    _PROBE,
    "Watch the space of the log until log backups succeed again.",
)

DATABASE_MESSAGES: tuple[KnownText, ...] = (
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
        summary=(
            "SQL Server closed the database's log, so nothing can be written. SQL Server needs the key for every new virtual log file, "
            "so a vault that cannot be reached has this effect on a busy database."
        ),
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
            _PROBE,
            "For LOG_BACKUP: repair the vault side, then back up the log. Until then, let the log grow or add a log file.",
            "Do not shrink the log. Do not switch the recovery model: that breaks the chain of log backups.",
        ),
    ),
    *(
        KnownText(
            number=number,
            title=f"{what} of a log record failed",
            pattern=f"during {what.lower()} of a logged operation|during {what.lower()}ing of a logged operation|during {what.lower()}ing a logged operation",
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
        causes=(_NO_KEY, _FILES),
        actions=_RECOVER,
    ),
    KnownText(
        number=926,
        title="The database is marked SUSPECT",
        pattern="has been marked suspect by recovery",
        summary="Recovery of the database started and failed, so it is not available. An earlier line in the error log names the cause.",
        causes=(_NO_KEY, _FILES),
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
    KnownText(
        number=3041,
        title="A backup failed",
        pattern="backup failed to complete the command",
        summary="A backup ended without success. The message before it in the error log names the cause.",
        causes=_BACKUP_CAUSES,
        actions=_BACKUP_ACTIONS,
    ),
    KnownText(
        number=18204,
        title="A backup device failed",
        pattern=r"backup device '[^'\n]{0,300}' failed to",
        summary="SQL Server could not open or write the file of a backup. Lines with a provider's code at the same time name the vault as the cause.",
        causes=_BACKUP_CAUSES,
        actions=_BACKUP_ACTIONS,
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
_STATE = "(?:database|state|state_desc|status)"


def _state(name: str, title: str, summary: str, causes: tuple[str, ...], *actions: str) -> KnownText:
    """Build a state, which is found alone, or next to a word for a database or a state."""
    pattern = rf"^\W*{name}\W*$|\b{_STATE}\b[^\n]{{0,160}}\b{name}\b|\({name}\b|\bmarked {name}\b"
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
