"""Explanations of the rows of each table but that of the codes."""

from __future__ import annotations

import re

from exporter.core.codes import BY_CODE, ConnectorError, both_numbers
from exporter.core.reasons import Reason
from exporter.explain.explanation import Explanation
from exporter.explain.known_text import KnownText
from exporter.explain.pasted_numbers import SMALLEST, labelled_codes
from exporter.explain.service_texts import codes_of
from exporter.explain.windows_errors import WINDOWS_ERRORS, windows_error

_HTTP = 400  # the first status of a failure
_THUMBPRINT = re.compile(r"0x[0-9A-F]{12,64}\b", re.IGNORECASE)


def explain_known_text(known: KnownText | None, text: str = "") -> Explanation | None:
    """Explain a known text, with the thumbprint of `text` in its title and commands."""
    if known is None:
        return None
    thumbprint = _THUMBPRINT.search(text)
    named = "" if thumbprint is None else thumbprint[0]
    return Explanation(
        title=known.headline + (f" {named}" if named and known.title.endswith("thumbprint") else ""),
        summary=known.summary,
        causes=known.causes,
        actions=known.actions,
        commands=tuple(line.replace("THUMBPRINT", named or "THUMBPRINT") for line in known.commands),
        rows=tuple(BY_CODE[code] for code in known.codes),
        effect=known.effect,
    )


def explain_windows_error(number: int, text: str) -> Explanation:
    """Explain an error of Windows. A connector code in the same text is the one that SQL Server shows."""
    plain, error = windows_error(number)
    coded = next((row for row in labelled_codes(text) if row.code >= SMALLEST), None)
    row = coded or (None if error.code is None else BY_CODE[error.code])
    shown = f"{plain} (0x{number:08X})" if number != plain else f"0x{plain:08X}" if plain > 0xFFFF else str(plain)
    reported = f"The connector reports it as {both_numbers(row.code)} {row.symbol}." if row else ""
    own = f"This is an error of Windows, not provider code {plain}." if plain in BY_CODE else "This is an error of Windows."
    return Explanation(
        title=f"Windows error {shown}: {error.meaning}",
        summary=f"{own} {reported}".strip(),
        actions=error.actions or (error.reason.row.actions if error.reason else ()) or (row.actions if row else ()),
        rows=() if row is None else (row,),
        reason=error.reason,
    )


def explain_small_number(row: ConnectorError) -> Explanation:
    """Explain a small number after the word error, which Windows and the provider use for different failures."""
    if row.code >= _HTTP:
        return Explanation(rows=(row,))  # an event line of the connector shows the status
    meaning = WINDOWS_ERRORS[row.code].meaning if row.code in WINDOWS_ERRORS else "see `net helpmsg`"
    return Explanation(
        title=f"Error {row.code}: a provider code or an error of Windows",
        summary=(
            f"After `Provider error code:` it is {row.symbol}. {row.summary} "
            f"As an error of Windows, for example after `registry:` or `OS error`, it means: {meaning}."
        ),
        actions=(
            f"If SQL Server shows it as a provider code, follow `ekm-exporter explain {row.code}`.",
            f'If it is an error of Windows, follow `ekm-exporter explain "Windows error {row.code}"`.',
        ),
        rows=(row,),
    )


def explain_reason(
    reason: Reason | None, *, title: str = "", codes: tuple[int, ...] = (), number: int | None = None
) -> Explanation | None:
    """Explain a reason by its text, its codes and its advice; `number` is that of Entra ID."""
    if reason is None:
        return None
    rows = tuple(BY_CODE[code] for code in codes or codes_of(reason))
    numbers = ", ".join(both_numbers(row.code) for row in rows)
    text = reason.row.text
    summary = f"{text[0].upper()}{text[1:]}." + (f" Code: {numbers}." if numbers else "")
    advice = reason.row.actions or (rows[0].actions if rows else ())
    if number is not None:
        advice = tuple(each.replace("NUMBER", str(number)) for each in advice)
    return Explanation(title=title or str(reason), summary=summary, actions=advice, rows=rows, reason=reason)
