"""The connector's rules for key names and the credential string.

No text of this module contains a part of the secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KEY_NAME_LIMIT = 26  # older connectors store the name itself as the key's thumbprint
CLIENT_ID_DIGITS = 32
CREDENTIAL_STRING_LIMIT = 120  # of SQL Server's CREATE CREDENTIAL for a provider: message 33067

KEY_NAME_UNUSABLE = 2049
CREDENTIAL_STRING_TOO_SHORT = 2050

_KEY_NAME = re.compile(r"[A-Za-z0-9-]+")
_CLIENT_ID = re.compile(r"[0-9A-Fa-f]{32}")
_HYPHENATED = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


@dataclass(frozen=True, slots=True)
class FormatProblem:
    """A broken rule.

    `code` is the connector's. It is None if SQL Server or Entra ID reports the problem instead.
    """

    code: int | None
    text: str


@dataclass(frozen=True, slots=True)
class ConnectorSecret:
    """The two parts of the SECRET of CREATE CREDENTIAL; `client_id` has hyphens."""

    client_id: str
    secret: str = field(repr=False)


def key_name_findings(name: str) -> tuple[FormatProblem, ...]:
    """Return the rules of the connector that a key name breaks."""
    findings = []
    if len(name) > KEY_NAME_LIMIT:
        text = f"the key name has {len(name)} characters, but the connector accepts at most {KEY_NAME_LIMIT}"
        findings.append(FormatProblem(KEY_NAME_UNUSABLE, f"{text} (SQL Server shows {KEY_NAME_UNUSABLE})"))
    if not _KEY_NAME.fullmatch(name):
        text = "a key name consists of letters, digits and hyphens"
        findings.append(FormatProblem(KEY_NAME_UNUSABLE, f"{text} (SQL Server shows {KEY_NAME_UNUSABLE})"))
    return tuple(findings)


def connector_secret_findings(text: str) -> tuple[FormatProblem, ...]:
    """Return the rules that a credential string breaks.

    The string has 32 hex digits, then the secret: at most 120 characters.
    """
    findings = []
    if len(text) < CLIENT_ID_DIGITS:
        rule = f"has {len(text)} characters, but the client id alone has {CLIENT_ID_DIGITS}: write the client id, then the secret"
        findings.append(FormatProblem(CREDENTIAL_STRING_TOO_SHORT, f"{rule} (SQL Server shows {CREDENTIAL_STRING_TOO_SHORT})"))
    elif _HYPHENATED.match(text):
        rule = "the client id has hyphens: remove them, or Entra ID does not find the client"
        findings.append(FormatProblem(None, f"{rule} (SQL Server shows 3012 (3110 on connector 1.0.5.0) or 3128)"))
    elif not _CLIENT_ID.match(text):
        findings.append(
            FormatProblem(
                None, "does not start with a client id: write its 32 hex digits without hyphens, then the client secret"
            )
        )
    elif len(text) == CLIENT_ID_DIGITS:
        findings.append(FormatProblem(None, "contains only the client id: append the client secret"))
    if len(text) > CREDENTIAL_STRING_LIMIT:
        rule = f"has {len(text)} characters, but SQL Server accepts at most {CREDENTIAL_STRING_LIMIT}: create a shorter client secret"
        findings.append(FormatProblem(None, f"{rule} (message 33067)"))
    return tuple(findings)


def split_connector_secret(text: str) -> ConnectorSecret | None:
    """Split a credential string into client id and secret.

    Returns None if `connector_secret_findings` returns any finding.
    """
    if connector_secret_findings(text):
        return None
    digits = text[:CLIENT_ID_DIGITS].lower()
    client_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return ConnectorSecret(client_id, text[CLIENT_ID_DIGITS:])
