"""Mask secrets and identities in texts of servers and libraries.

A masked text is still never a label value.
"""

from __future__ import annotations

import re

from exporter.core.known_secrets import hide

LIMIT = 256
_SCANNED = 8192  # characters that are read, to bound the time for a hostile text

# In this order: a token may contain a GUID, a URL may contain an address.
_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}"), "<token>"),
    (re.compile(r"\b(?:TlRMTVNT|YII)[A-Za-z0-9+/]{8,}={0,2}"), "<token>"),  # NTLM and Kerberos
    (
        re.compile(
            r"(?i)\b(client_secret|client_assertion|assertion|password|passwd|pwd|secret|access_token|refresh_token|id_token|accountkey|sig)"
            r"(\\?[\"']?\s*[=:]\s*)(\\?[\"'])?(?(3)[^\"'\\]+|[^\s\"'&,;]+)"
        ),
        r"\1\2\3<secret>",
    ),
    (re.compile(r"(?i)\b(bearer|basic|pop)(\s+)[A-Za-z0-9._~+/=-]{12,}"), r"\1\2<token>"),
    # A password may contain an @; the last one ends it.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,16}://)[^/\s:@]{0,256}:[^/\s]{0,256}@"), r"\1<secret>@"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?!\.?\d)"), "<address>"),
    # IPv6: a double colon, or more colons than a time of day has.
    (
        re.compile(r"(?<![\w:.])(?=[0-9a-fA-F:]{0,45}::|(?:[0-9a-fA-F]{1,4}:){5})[0-9a-fA-F:]{3,45}(?![\w:])"),
        "<address>",
    ),
    # The thumbprint of a key is 20 bytes in hex, and no secret: it is what a DBA compares.
    (re.compile(r"(?<![A-Za-z0-9_-])(?!0x[0-9A-Fa-f]{40}(?![A-Za-z0-9_~+=-]))[A-Za-z0-9_~+=-]{40,}(?![A-Za-z0-9_-])"), "<long>"),
)


def _printable(text: str) -> str:
    """Return the text without control characters, lone surrogates and direction marks."""
    if text.isprintable():
        return text
    return " ".join(part for part in "".join(sign if sign.isprintable() else "\n" for sign in text).split("\n") if part)


def mask(text: str, *, limit: int = LIMIT) -> str:
    """Return one masked line of at most `limit` characters."""
    line = _printable(hide(text[:_SCANNED])).strip()
    for pattern, replacement in _MASKS:
        line = pattern.sub(replacement, line)
    return line if len(line) <= limit else line[: limit - 1] + "…"
