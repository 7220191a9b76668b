"""Explain a text: code, symbol, reason, AADSTS number, message, state, error of Windows or log line.

Pure: the command `explain` and the page `/explain` show the same result.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

from exporter.core.secrets import mask
from exporter.core.values import Facts, Fault, Step
from exporter.explain.explanation import Explanation, explain_codes, explain_exactly, join_lines, trim
from exporter.explain.known_texts import (
    CONNECTOR_TEXTS,
    WINDOWS_ERRORS,
    WINDOWS_PHRASES,
    KnownText,
    curl_number,
    is_known,
    reason_of_curl,
    reason_of_phrase,
)
from exporter.explain.messages import KNOWN_TEXTS, MESSAGES, STATES, TEXTS
from exporter.explain.numbers import (
    SMALLEST,
    any_code,
    entra_reason,
    explain_known_text,
    explain_reason,
    explain_small_number,
    explain_windows_error,
    labelled_codes,
    message_numbers,
    named_provider_code,
    provider_code,
    translated_code,
    vault_reason,
    windows_number,
    without_names,
    wrapped_code,
)
from exporter.knowledge.classify import classify
from exporter.knowledge.code_row import ConnectorError
from exporter.knowledge.codes import BY_CODE, CODES, find
from exporter.knowledge.reasons import VAULT_REASONS, Reason

Lookup = Callable[[str], Explanation | None]

_FLAGS = re.IGNORECASE
_EVENT_STATUS = re.compile(r"\binfo:?\s*(\d{3})\b", _FLAGS)
_AKV = re.compile(r"\bAKV(\d{5})\b", _FLAGS)
_STATUS = re.compile(r"\b([45]\d\d)\b")
_HTTP_STATUS = re.compile(
    r"\W{0,9}(?:http(?:\s+status)?|status|info:?)?\s*([45]\d\d)\W{0,9}"
    r"(?:bad request|unauthorized|not found|request time-?out|conflict|internal server error|bad gateway|service unavailable|gateway time-?out)?"
    r"|.*?(?:returned (?:an )?error:|indicate success:|status ?code\s*:|http/\d(?:\.\d)?)\s*\(?([45]\d\d)\b.*",
    _FLAGS | re.DOTALL,
)
_WININET = re.compile(r"\b(12\d{3})\b")
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,80}")
_OPERATIONS = {
    "acquiretoken": Step.TOKEN,
    "token": Step.TOKEN,
    "challenge": Step.CHALLENGE,
    "getkeybyname": Step.GET_KEY,
    "getkey": Step.GET_KEY,
    "get_key": Step.GET_KEY,
    "get": Step.GET_KEY,
    "wrapkey": Step.WRAP_KEY,
    "wrap_key": Step.WRAP_KEY,
    "wrap": Step.WRAP_KEY,
    "unwrapkey": Step.UNWRAP_KEY,
    "unwrap_key": Step.UNWRAP_KEY,
    "unwrap": Step.UNWRAP_KEY,
}


def explain(text: str) -> Explanation | None:
    """Explain `text`; None if it is of no known kind."""
    text = trim(text)
    return next((found for look_up in _LOOKUPS if (found := look_up(text)) is not None), None)


def explain_log_text(text: str) -> Explanation | None:
    """Explain the text of an event, which may have numbers of any meaning."""
    text = join_lines(text)
    return next((found for look_up in _LOG_TEXT_KINDS if (found := look_up(text)) is not None), None)


def explain_message(number: int, text: str = "") -> Explanation | None:
    """Explain a message of SQL Server by its number; `text` has the names in it."""
    return None if number not in MESSAGES else explain_known_text(MESSAGES[number], text)


def _code(read: Callable[[str], ConnectorError | None]) -> Lookup:
    """Return the lookup of a code in a text."""
    return lambda text: explain_codes(read(text))


def _reason_by(read: Callable[[str], Reason | None]) -> Lookup:
    """Return the lookup of a reason in a text."""
    return lambda text: explain_reason(read(text))


def _known(texts: Iterable[KnownText]) -> Lookup:
    """Return the lookup of known texts by their patterns."""
    return lambda text: explain_known_text(next((each for each in texts if re.search(each.pattern, text.casefold())), None))


def _entra(text: str) -> Explanation | None:
    found = entra_reason(text)
    if found is None:
        return None
    number, reason = found
    if reason is Reason.SIGN_IN_REFUSED and provider_code(text) is not None:
        return None  # the number has no row, the code has
    return explain_reason(reason, title=f"AADSTS{number}: {reason}", number=number)


def _akv(text: str) -> Explanation | None:
    number = _AKV.search(text)
    if number is None:
        return None
    found = classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401, akv=int(number[1])))
    return explain_reason(found.reason, title=f"AKV{number[1]}: {found.reason}", codes=(found.code,))


def _message(text: str) -> Explanation | None:
    """Explain the most specific of the messages in the text, by number, else by its English text."""
    numbers, folded = set(message_numbers(text)), text.casefold()
    known = next((each for each in TEXTS if each.number in numbers), None)
    known = known or next((each for each in TEXTS if re.search(each.pattern, folded)), None)
    row = translated_code(text) if known is not None and known.has_code else None
    return explain_codes(row) or explain_known_text(known, text)


def _symbol(text: str) -> Explanation | None:
    return next(
        (Explanation(rows=rows) for word in dict.fromkeys(_WORD.findall(text)) if "rr" in word and (rows := find(word))), None
    )


def _status_with_operation(text: str) -> Explanation | None:
    text = without_names(text)
    step = next((_OPERATIONS[word.lower()] for word in _WORD.findall(text) if word.lower() in _OPERATIONS), None)
    status = _EVENT_STATUS.search(text) or _STATUS.search(text)
    if step is None or status is None:
        return None
    found = classify(step, Facts(fault=Fault.HTTP_STATUS, status=int(status[1])))
    return explain_codes(BY_CODE[found.code])


def _inner_code(text: str) -> Explanation | None:
    words = {word.lower() for word in _WORD.findall(text)}
    return explain_reason(next((rule.reason for rule in VAULT_REASONS if not words.isdisjoint(rule.markers)), None))


def _http_status(text: str) -> Explanation | None:
    status = _HTTP_STATUS.fullmatch(text)
    if status is None:
        return None
    number = status[1] or status[2]
    if number == "407":  # only a proxy sends it
        return explain_reason(Reason.PROXY_AUTH, title=f"HTTP status {number}: {Reason.PROXY_AUTH}")
    row = BY_CODE[classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=int(number))).code]
    return Explanation(
        title=f"HTTP status {number} of a vault",
        summary=f"{row.summary} Name the operation for the code of the sign-in: `{number} token`.",
        causes=row.causes,
        actions=row.actions,
        rows=(row,),
    )


def _windows_error(text: str) -> Explanation | None:
    number = windows_number(text)
    return explain_windows_error(number, text) if number is not None and is_known(number) else None


def _other_windows_error(text: str) -> Explanation | None:
    """Explain an error of Windows by its sentence, or how to print the text of its number."""
    folded = text.casefold()
    number = next((number for phrase, number in WINDOWS_PHRASES.items() if phrase in folded), windows_number(text))
    return None if number is None else explain_windows_error(number, text)


def _wininet(text: str) -> Explanation | None:
    number = next((int(each) for each in _WININET.findall(text) if int(each) in WINDOWS_ERRORS), None)
    return None if number is None else explain_windows_error(number, text)


def _other_curl_error(text: str) -> Explanation | None:
    number = curl_number(text)
    if number is None:
        return None
    return Explanation(
        title=f"Error {number} of curl",
        summary="An error of curl that the exporter maps to no reason.",
        actions=("Show each step of the connection: `curl -v https://VAULT.vault.azure.net`.",),
    )


def _labelled(text: str) -> Explanation | None:
    rows = labelled_codes(text)
    sure = next((row for row in rows if row.code >= SMALLEST), None)
    return explain_codes(sure) or (explain_small_number(rows[0]) if rows else None)


def _reason(text: str) -> Explanation | None:
    return explain_reason(next((Reason(word.lower()) for word in _WORD.findall(text) if word.lower() in set(Reason)), None))


# The first kind that fits. What names a cause comes before what follows from it, and a number with a meaning before one without.
_LOOKUPS: tuple[Lookup, ...] = (
    explain_exactly,
    _entra,
    _akv,
    _reason_by(vault_reason),
    _code(provider_code),
    _message,
    _symbol,
    _inner_code,
    _status_with_operation,
    _http_status,
    _code(wrapped_code),
    _windows_error,
    _reason_by(reason_of_curl),
    _labelled,
    _reason_by(reason_of_phrase),
    _wininet,
    _reason,
    _code(any_code),
    _known(STATES),
    _other_windows_error,
    _other_curl_error,
)

_LOG_TEXT_KINDS = (
    _known(CONNECTOR_TEXTS),
    _entra,
    _akv,
    _reason_by(vault_reason),
    _symbol,
    _inner_code,
    _status_with_operation,
    _windows_error,
    _wininet,
    _reason_by(reason_of_phrase),
)

# The answer to a text without an explanation: the nearest known texts, and what is accepted.

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
    """Return codes with similar digits. Codes with two swapped digits come first, then the nearest."""
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
