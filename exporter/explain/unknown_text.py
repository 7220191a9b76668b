"""The answer to a text without an explanation: the nearest known texts, and what is accepted."""

from __future__ import annotations

import difflib
import re

from exporter.core.codes import BY_CODE, CODES
from exporter.core.masking import mask
from exporter.explain.known_text import KnownText
from exporter.explain.messages import KNOWN_TEXTS
from exporter.explain.pasted_numbers import message_numbers, named_provider_code

KINDS = (
    "a connector code or symbol, a message of SQL Server, a database state, a log line, an AADSTS or AKV number, "
    "a Windows error or HRESULT, an error of PowerShell or curl, a reason, an inner code, or an HTTP status (403 unwrapKey)"
)
_SHOWN = 60
_SUGGESTIONS = 3
_NEIGHBOURS = 2  # how far apart two numbers are at most for a suggestion
_LONG_NUMBER = re.compile(r"(?:(?:msg|message|error)[\s:]*)?\d{5}\D*", re.IGNORECASE | re.ASCII)
_WORDS = re.compile(r"[a-z]{4,}")
_LEAST_SHARED = 0.5  # of the words of a title
_SCANNED = 4000


def unknown(text: str) -> str:
    """Describe in one line why `text` has no explanation, and what is near."""
    shown = named_provider_code(text) or mask(text, limit=_SHOWN)
    if _LONG_NUMBER.fullmatch(shown) or (message_numbers(text) and not shown.isdecimal()):
        return (
            f"no such code: {shown!r}. This number is a message of SQL Server or a number of Entra ID. "
            "The text of the message may name a provider code. Write AADSTS before a number of Entra ID."
        )
    near = _near_numbers(shown) if shown.isdecimal() else _near_symbols(shown) or _near_texts(text)
    return f"no such code: {shown!r}. " + (f"Did you mean {', '.join(near)}?" if near else f"Accepted inputs: {KINDS}.")


def _near_numbers(shown: str) -> list[str]:
    """Return codes with similar digits.

    Codes with two swapped digits come first, then the nearest.
    """
    alike = difflib.get_close_matches(shown, [str(code) for code in BY_CODE], n=len(BY_CODE), cutoff=0.7)
    near = [code for code in BY_CODE if abs(code - int(shown)) <= _NEIGHBOURS or str(code) in alike]
    near.sort(key=lambda code: (sorted(str(code)) != sorted(shown), abs(code - int(shown))))
    return [str(code) for code in near[:_SUGGESTIONS]]


def _near_symbols(shown: str) -> list[str]:
    """Symbols that contain the word, or else those with a similar spelling."""
    symbols = {row.symbol.casefold(): row.symbol for row in CODES}
    wanted = shown.casefold()
    near = [folded for folded in symbols if len(wanted) > 2 and wanted in folded]
    near = near or difflib.get_close_matches(wanted, symbols, n=_SUGGESTIONS, cutoff=0.7)
    return [symbols[folded] for folded in near[:_SUGGESTIONS]]


def _near_texts(text: str) -> list[str]:
    """Return the titles that share the most words with the text."""
    words = set(_WORDS.findall(text[:_SCANNED].lower()))
    shares = {each.headline: _share(each, words) for each in KNOWN_TEXTS}
    near = sorted((headline for headline, share in shares.items() if share >= _LEAST_SHARED), key=lambda each: -shares[each])
    return [f"'{headline}'" for headline in near[:_SUGGESTIONS]]


def _share(known: KnownText, words: set[str]) -> float:
    wanted = set(_WORDS.findall(known.title.lower()))
    return len(wanted & words) / len(wanted) if len(wanted & words) > 1 else 0.0
