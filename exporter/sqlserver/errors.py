"""Why a SQL Server was not read, and what to do: a sentence for each error number.

After a refused login nothing is tried for an hour, or until the content of the secret changes: another try may lock the login.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac

from exporter.core.secrets import mask

Words = Mapping[str, str]  # in the texts of failures that depend on the reader: flags of `inventory`, or settings of `run`
_TABLE = {  # word: for `inventory`, for `run`
    "application": ("ekm-exporter inventory", "ekm-exporter"),
    "slow": ("raise --sql.timeout", "find out why the server is slow"),
    "whole": (", {times} times --sql.timeout: raise it", ": find out why the server is slow"),
    "trust": (
        "give its authority with --sql.ca.file, or accept any certificate with --sql.encrypt trust",
        "set ca_file to its authority, or certificate_sha256 to its SHA-256",
    ),
    "login": ("check --sql.user and the password file", "check user and password of this server in sql_servers"),
    "sign_in": ("give --sql.user, or --sql.entra", "set user, or entra_credential"),
    "windows": ("sign in as a Windows account, or use inventory.ps1", "sign in as a Windows account"),
    "later": ("run the command again later", "wait until the exporter tries again"),
}
INVENTORY: Words = {word: texts[0] for word, texts in _TABLE.items()}
RUN: Words = {word: texts[1] for word, texts in _TABLE.items()}

MISSING_ENTRY = 22001  # of the registry procedures, as an information message
MISSING_FILE = 22004  # of xp_readerrorlog: an archive that does not exist

_LATER = "{later}"
_SYNTAX_ERROR, _OLD_SERVER = 102, " The statement needs SQL Server 2016 or later."
# Error numbers of a refused login; the actions have the words of `_TABLE`.
_REFUSALS: Mapping[int, tuple[str, str]] = {
    4060: ("database master is not open to this login", "grant CONNECT, or check the login"),
    4064: ("the login's default database cannot be opened", "ALTER LOGIN ... WITH DEFAULT_DATABASE = master"),
    17142: ("the server is paused", _LATER),
    17187: ("the server is starting and accepts no connection yet", _LATER),
    17809: ("the server has too many connections", _LATER),
    17830: ("the login took too long", "{slow}"),
    18401: ("the server is in script upgrade mode", _LATER),
    18450: ("the login may not sign in to this instance", "sign in with another login"),
    18451: ("the server accepts only administrators now", _LATER),
    18452: ("the server accepts only Windows logins, or does not trust this domain", "{windows}"),
    18456: ("the login was refused", "{login}; the server's error log shows the reason"),
    18461: ("the server is in single-user mode", _LATER),
    18470: ("the login is disabled", "ALTER LOGIN ... ENABLE"),
    18486: ("the login is locked", "ALTER LOGIN ... UNLOCK"),
    18487: ("the login's password has expired", "give the login a new password"),
    18488: ("the login's password must be changed first", "give the login a new password"),
}
_NOT_NOW = frozenset({17142, 17187, 17809, 17830, 18401, 18451, 18461})  # of them: the server refuses every login for a time


@dataclass(frozen=True, slots=True)
class SqlMessage:
    """A message of SQL Server: error or information. `severity` above 10 is an error."""

    number: int
    severity: int
    text: str

    def __str__(self) -> str:
        return f"message {self.number}: {mask(self.text)}"


def refusal(message: SqlMessage, words: Words) -> str:
    what, action = _REFUSALS.get(message.number, ("", ""))
    return f"{what} ({message.number}): {action.format_map(words)}" if what else f"the login failed: {error_of((message,))}"


def refused_login(message: SqlMessage) -> int:
    """Return the number of a refused login, which another try may lock.

    It is 0 for any other error: near a restart, a server refuses every login for a time.
    """
    return message.number if message.number in _REFUSALS.keys() - _NOT_NOW else 0


def error_of(messages: tuple[SqlMessage, ...]) -> str:
    """Return the first error: a second one, such as 297, has no cause."""
    errors = [message for message in messages if message.severity > 10] or list(messages)
    if not errors:
        return "SQL Server sent no message"
    return f"{errors[0]}{_OLD_SERVER if errors[0].number == _SYNTAX_ERROR else ''}"


LOCKOUT_SECONDS = 3600.0
_DIGEST_BYTES = 2  # a stored digest must fit too many secrets to show which one is right; a false match costs an hour


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockout:
    """A refused login at a Unix time. `digest` is the beginning of that of the secret, with `salt`."""

    account: str
    at: float
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def holds(self, account: str, secret: bytes, now: float) -> bool:
        """Whether a login with this secret would be refused again. Takes milliseconds of a processor."""
        if account != self.account or not 0 <= now - self.at < LOCKOUT_SECONDS:
            return False
        return hmac.compare_digest(_digest(secret, self.salt), self.digest)


def lockout_after(account: str, secret: bytes, at: float) -> Lockout:
    """Return the lockout after a login was refused. Takes milliseconds of a processor."""
    salt = secrets.token_bytes(16)
    return Lockout(account=account, at=at, salt=salt, digest=_digest(secret, salt))


def _digest(secret: bytes, salt: bytes) -> bytes:
    return pbkdf2_hmac("sha256", secret, salt, 10_000)[:_DIGEST_BYTES]
