"""What the connector demands: rules for key names and the credential string, and the queries of a vault's log.

No text of this module contains a part of the secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exporter.core.quoting import plain

KEY_NAME_LIMIT = 26  # older connectors store the name itself as the key's thumbprint
CLIENT_ID_DIGITS = 32
CREDENTIAL_STRING_LIMIT = 120  # of SQL Server's CREATE CREDENTIAL for a provider: message 33067

KEY_NAME_UNUSABLE = 2049
CREDENTIAL_STRING_TOO_SHORT = 2050

_CLIENT_ID = re.compile(r"[0-9A-Fa-f]{32}")
_HYPHENATED = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class FormatProblem:
    """A broken rule. `code` is the connector's. It is None if SQL Server or Entra ID reports the problem instead."""

    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class ConnectorSecret:
    """The two parts of the SECRET of CREATE CREDENTIAL; `client_id` has hyphens."""

    client_id: str
    secret: str = field(repr=False)


def key_name_findings(name: str) -> tuple[FormatProblem, ...]:
    """Return the rules of the connector that a key name breaks."""
    too_long = f"the key name has {len(name)} characters, but the connector accepts at most {KEY_NAME_LIMIT}"
    rules = (
        (len(name) > KEY_NAME_LIMIT, too_long),
        (not re.fullmatch(r"[A-Za-z0-9-]+", name), "a key name consists of letters, digits and hyphens"),
    )
    shown = f"(SQL Server shows {KEY_NAME_UNUSABLE})"
    return tuple(FormatProblem(KEY_NAME_UNUSABLE, f"{rule} {shown}") for is_broken, rule in rules if is_broken)


def connector_secret_findings(text: str) -> tuple[FormatProblem, ...]:
    """Return the rules that a credential string breaks. The string has 32 hex digits, then the secret: at most 120 characters."""
    findings = []
    if len(text) < CLIENT_ID_DIGITS:
        rule = f"has {len(text)} characters, but the client id alone has {CLIENT_ID_DIGITS}: write the client id, then the secret"
        findings.append(FormatProblem(CREDENTIAL_STRING_TOO_SHORT, f"{rule} (SQL Server shows {CREDENTIAL_STRING_TOO_SHORT})"))
    elif _HYPHENATED.match(text):
        rule = "the client id has hyphens: remove them, or Entra ID does not find the client"
        findings.append(FormatProblem(None, f"{rule} (SQL Server shows 3012 (3110 on connector 1.0.5.0) or 3128)"))
    elif not _CLIENT_ID.match(text):
        rule = "does not start with a client id: write its 32 hex digits without hyphens, then the client secret"
        findings.append(FormatProblem(None, rule))
    elif len(text) == CLIENT_ID_DIGITS:
        findings.append(FormatProblem(None, "contains only the client id: append the client secret"))
    if len(text) > CREDENTIAL_STRING_LIMIT:
        rule = f"has {len(text)} characters, but SQL Server accepts at most {CREDENTIAL_STRING_LIMIT}: create a shorter client secret"
        findings.append(FormatProblem(None, f"{rule} (message 33067)"))
    return tuple(findings)


def split_connector_secret(text: str) -> ConnectorSecret | None:
    """Split a credential string into client id and secret. Returns None if `connector_secret_findings` returns any finding."""
    if connector_secret_findings(text):
        return None
    digits = text[:CLIENT_ID_DIGITS].lower()
    client_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return ConnectorSecret(client_id, text[CLIENT_ID_DIGITS:])


# The queries of a vault's log, which are scripts for a DBA.
LOG_SCRIPTS: Final[Mapping[str, str]] = {  # by file name; part of the program, and read as its modules are: once, when it starts
    path.name: path.read_bytes().decode("ascii") for path in Path(__file__).with_name("scripts").iterdir()
}

_COMMENT = re.compile(r"(?:^|(?<=;))[^\S\n]*//.*$", re.MULTILINE)  # at the beginning of a line, or after a statement


def fill_query(script: str, values: Mapping[str, str | int]) -> str:
    """Return a query of Kusto with these values of its first `let` statements. Texts are names without quotation marks."""
    for name, value in values.items():
        written = f'"{plain(value, name.upper())}"' if isinstance(value, str) else str(value)
        script = re.sub(rf"^let {name} = [^;]+;", f"let {name} = {written};", script, count=1, flags=re.MULTILINE)
    return script


def log_query(name: str, **values: str | int) -> str:
    """Return the query of a script with these values of its variables."""
    return fill_query(LOG_SCRIPTS[name], values).rstrip("\n")


def one_line(script: str) -> str:
    """Return a query of Kusto without its comments as one line, which a mail and a ticket system keep whole."""
    return " ".join(_COMMENT.sub("", script).split())
