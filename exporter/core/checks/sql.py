"""Rows of the checks of a target's SQL Servers, and what each right shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial

from exporter.core.checks.model import Check

_UNAFFECTED = "The exporter reports nothing that this SQL Server alone can show, such as its last backup. SQL Server itself is not affected."
_check = partial(Check, effect=_UNAFFECTED)

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
        question="Do the labels `sql_instance` and `host` equal the names that SQL Server has, and those of the target's `instances`?",
        actions=(
            "Correct `sql_instance` and `host` of this server in `sql_servers`, or the `instances` of the target: the alerts join them.",
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
            "The line above names the SQL Server, and what it lacks. For a code: `ekm-exporter explain CODE`.",
            "A proof without a restart: `ekm-exporter script prove.sql`.",
        ),
    ),
)

# The numbers of messages about a missing right.
_REFUSED = re.compile(r"message (?:229|230|262|297|300|371|916): |the login may not ")


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
        sections=("modules", "logs", "nodes"),
        without="the version of the loaded DLL, the room in the logs and the nodes of a failover cluster instance are unknown",
    ),
    SqlRight(
        name="SELECT on msdb.dbo.backupset",
        granted_by="part 3 of `login.sql`",
        sections=("backups",),
        without="no backup proves a key, so a secret counts as not proven until the next start",
    ),
    SqlRight(
        name="EXECUTE on sys.xp_readerrorlog",
        granted_by="part 4 of `login.sql`",
        sections=("errors",),
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
    if _REFUSED.match(message) is None:
        return None
    by_name = (right for right in SQL_RIGHTS if right.name in message)
    by_section = (right for right in SQL_RIGHTS if section in right.sections)
    return next(by_name, None) or next(by_section, None)
