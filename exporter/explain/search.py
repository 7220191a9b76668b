"""Explain a text: code, symbol, reason, AADSTS number, message, state, error of Windows or log line.

Pure: the command `explain` and the page `/explain` show the same result.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from exporter.core.secrets import mask
from exporter.core.values import Facts, Fault, Step
from exporter.explain.explanation import Explanation, explain_codes, explain_exactly, join_lines, trim
from exporter.explain.known_texts import (
    CONNECTOR_SENTENCES,
    CONNECTOR_TEXTS,
    SERVICE_TEXTS,
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
    Paste,
    entra_reason,
    explain_known_text,
    explain_reason,
    explain_small_number,
    explain_windows_error,
    labelled_codes,
    named_provider_code,
    read,
    vault_reason,
    windows_number,
    wrapped_code,
)
from exporter.knowledge.classify import classify
from exporter.knowledge.code_row import ConnectorError
from exporter.knowledge.codes import BY_CODE, CODES, both_numbers, find
from exporter.knowledge.reasons import VAULT_REASONS, Reason

Lookup = Callable[[Paste], Explanation | None]

_FLAGS = re.IGNORECASE
_EVENT_STATUS = re.compile(r"\b(?:info|error):?\s*([45]\d\d)\b", _FLAGS)
_STATUS = re.compile(r"\b([45]\d\d)\b")
_HTTP_STATUS = re.compile(
    r"\W{0,9}(?:http(?:\s+status)?|status|info:?)?\s*([45]\d\d)\W{0,9}"
    r"(?:bad request|unauthorized|not found|request time-?out|conflict|internal server error|bad gateway|service unavailable|gateway time-?out)?"
    r"|.*?(?:returned (?:an )?error:|indicate success:|status ?code\s*:|http/\d(?:\.\d)?)\s*\(?([45]\d\d)\b.*",
    _FLAGS | re.DOTALL,
)
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,80}")
_ERROR_WORD = re.compile("error|exception|hresult|failed|fehler", _FLAGS)
_FEW_WORDS = 4  # in which `get 403` means an operation
_OPERATIONS = {
    **dict.fromkeys(("acquiretoken", "token"), Step.TOKEN),
    "challenge": Step.CHALLENGE,
    **dict.fromkeys(("getkeybyname", "getkey", "get_key", "get"), Step.GET_KEY),
    **dict.fromkeys(("wrapkey", "wrap_key", "wrap"), Step.WRAP_KEY),
    **dict.fromkeys(("unwrapkey", "unwrap_key", "unwrap"), Step.UNWRAP_KEY),
}
_REFUSED_PROVIDER = 33029  # whose provider codes 0 and 1 name no cause


def explain(text: str) -> Explanation | None:
    """Explain `text`, with what else it names; None if it is of no known kind."""
    paste = read(trim(text))
    found = _first(paste, _LOOKUPS)
    return found and replace(found, also=tuple(_others(paste, found)))


def explain_message(number: int, text: str = "") -> Explanation | None:
    """Explain a message of SQL Server by its number; `text` has the names in it."""
    cases = (each for each in TEXTS if each.title.startswith(f"Message {number} ") and re.search(each.pattern, text.casefold()))
    return explain_known_text(next(cases, MESSAGES.get(number)), text)


def names_no_cause(row: ConnectorError, messages: Iterable[int]) -> bool:
    """Whether a message has a provider code that only says success or failure, so that the message itself is explained."""
    return row.code <= 1 and _REFUSED_PROVIDER in messages


def _first(paste: Paste, lookups: Iterable[Lookup]) -> Explanation | None:
    return next((found for look_up in lookups if (found := look_up(paste)) is not None), None)


def _others(paste: Paste, found: Explanation) -> Iterator[str]:
    """Yield the titles of the other codes and messages of the text; a message that a code explains is none."""
    for row in paste.codes:
        if row.code and row not in found.rows and not names_no_cause(row, paste.messages):
            yield f"{both_numbers(row.code)} {row.symbol}"
    for known in TEXTS:
        if not (known.has_code and paste.codes) and known.headline.partition(":")[0] not in found.title and paste.has(known):
            yield known.headline


def _reason_by(read_reason: Callable[[str], Reason | None]) -> Lookup:
    """Return the lookup of a reason in a text."""
    return lambda paste: None if (reason := read_reason(paste.text)) is None else explain_reason(reason)


def _known(texts: Iterable[KnownText]) -> Lookup:
    """Return the lookup of known texts: the first that has its number or sentence there."""
    return lambda paste: explain_known_text(next((each for each in texts if paste.has(each)), None), paste.text)


def _of_tools(look_up: Lookup) -> Lookup:
    """Return a lookup for texts of tools and services: one of SQL Server that names no provider and no error of Windows is none."""
    return lambda paste: (
        look_up(paste)
        if paste.is_about_a_provider or not paste.is_of_sql_server or "operating system error" in paste.folded
        else None
    )


def _entra(paste: Paste) -> Explanation | None:
    found = entra_reason(paste.text)
    if found is None or (found[1] is Reason.SIGN_IN_REFUSED and paste.codes):
        return None  # the number has no row, the code has
    number, reason = found
    return explain_reason(reason, title=f"AADSTS{number}: {reason}", number=number)


def _akv(paste: Paste) -> Explanation | None:
    number = re.search(r"\bAKV(\d{5})\b", paste.text, _FLAGS)
    if number is None:
        return None
    found = classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401, akv=int(number[1])))
    return explain_reason(found.reason, title=f"AKV{number[1]}: {found.reason}", codes=(found.code,))


def _sentence(*codes: int) -> Lookup:
    """Return the lookup of the connector's own sentences for codes."""
    return lambda paste: explain_codes(
        next((BY_CODE[code] for code in codes if re.search(CONNECTOR_SENTENCES[code], paste.folded)), None)
    )


def _provider_code(paste: Paste) -> Explanation | None:
    row = next(iter(paste.codes), None)
    refused = (_REFUSED_PROVIDER,) if paste.has(MESSAGES[_REFUSED_PROVIDER]) else ()
    return None if row is None or names_no_cause(row, refused) else explain_codes(row)


def _symbol(paste: Paste) -> Explanation | None:
    found = (find(word) for word in dict.fromkeys(_WORD.findall(paste.text)) if "rr" in word)
    return next((Explanation(rows=rows) for rows in found if rows), None)


def _status_with_operation(paste: Paste) -> Explanation | None:
    words = [word.lower() for word in _WORD.findall(paste.plain)]
    is_brief, steps = len(words) <= _FEW_WORDS, [_OPERATIONS[word] for word in words if word in _OPERATIONS]
    status = (_STATUS if is_brief else _EVENT_STATUS).search(paste.plain)
    if not steps or status is None or not (paste.is_about_a_provider or is_brief):
        return None
    return explain_codes(BY_CODE[classify(steps[0], Facts(fault=Fault.HTTP_STATUS, status=int(status[1]))).code])


def _inner_code(text: str) -> Reason | None:
    words = {word.lower() for word in _WORD.findall(text)}
    return next((rule.reason for rule in VAULT_REASONS if not words.isdisjoint(rule.markers)), None)


def _http_status(paste: Paste) -> Explanation | None:
    status = _HTTP_STATUS.fullmatch(paste.text)
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
        owner=row.owner,
    )


def _windows_error(paste: Paste) -> Explanation | None:
    number = windows_number(paste.text)
    return explain_windows_error(number, paste) if number is not None and is_known(number) else None


def _other_windows_error(paste: Paste) -> Explanation | None:
    """Explain an error of Windows by its sentence, or how to print the text of its number."""
    is_error = len(paste.text) <= _SHOWN or _ERROR_WORD.search(paste.text)
    named = (number for phrase, number in WINDOWS_PHRASES.items() if phrase in paste.folded)
    number = next(named, windows_number(paste.text) if is_error else None)
    return None if number is None else explain_windows_error(number, paste)


def _wininet(paste: Paste) -> Explanation | None:
    is_error = paste.is_about_a_provider or len(paste.text) <= _SHOWN
    numbers = (int(number) for number in re.findall(r"\b(12\d{3})\b", paste.text) if is_error and int(number) in WINDOWS_ERRORS)
    return next((explain_windows_error(number, paste) for number in numbers), None)


def _other_curl_error(paste: Paste) -> Explanation | None:
    number = curl_number(paste.text)
    if number is None:
        return None
    return Explanation(
        title=f"Error {number} of curl",
        summary="An error of curl that the exporter maps to no reason.",
        actions=("Show each step of the connection: `curl -v https://VAULT.vault.azure.net`.",),
    )


def _labelled(paste: Paste) -> Explanation | None:
    rows = labelled_codes(paste)
    sure = (explain_codes(row) for row in rows if row.code >= SMALLEST)
    return next(sure, explain_small_number(rows[0]) if rows else None)


def _reason(text: str) -> Reason | None:
    """Return the reason that a text names: a word of English only if nothing else is pasted."""
    words = (text.lower(), *(word.lower() for word in _WORD.findall(text) if "_" in word))
    return next((Reason(word) for word in words if word in set(Reason)), None)


# The first kind that fits. What names a cause comes before what follows from it, and a number with a meaning before one without.
_OF_SERVICES: tuple[Lookup, ...] = (_known(SERVICE_TEXTS), _entra, _akv, _sentence(3077, 3113), _reason_by(vault_reason))
_NAMED: tuple[Lookup, ...] = (_symbol, _reason_by(_inner_code), _status_with_operation, _sentence(401))
_LOOKUPS: tuple[Lookup, ...] = (
    lambda paste: explain_exactly(paste.text),
    *_OF_SERVICES,
    _provider_code,
    _known(TEXTS),
    *_NAMED,
    _of_tools(_http_status),
    lambda paste: explain_codes(wrapped_code(paste)),
    _of_tools(_windows_error),
    _reason_by(reason_of_curl),
    _labelled,
    _of_tools(_reason_by(reason_of_phrase)),
    _of_tools(_wininet),
    _reason_by(_reason),
    _known(STATES),
    _of_tools(_other_windows_error),
    _other_curl_error,
)
_LOG_TEXT_KINDS: tuple[Lookup, ...] = (
    _known(CONNECTOR_TEXTS),
    *_OF_SERVICES,
    *_NAMED,
    _windows_error,
    _wininet,
    _reason_by(reason_of_phrase),
)


def explain_log_text(text: str) -> Explanation | None:
    """Explain the text of an event, which may have numbers of any meaning."""
    return _first(read(join_lines(text)), _LOG_TEXT_KINDS)


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
    if _LONG_NUMBER.fullmatch(shown) or (read(trim(text)).messages and not shown.isdecimal()):
        return (
            f"no such code: {shown!r}. This number is a message of SQL Server or a number of Entra ID. "
            "The text of the message may name a provider code. Write AADSTS before a number of Entra ID."
        )
    near = _near_numbers(shown) if shown.isdecimal() else _near_symbols(shown) or _near_texts(text)
    return f"no such code: {shown!r}. " + (
        f"Did you mean {', '.join(near)}?"
        if near
        else f"Accepted inputs: {KINDS}. For an alert, `ekm-exporter docs` and its name; for a topic, and its words."
    )


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
    """Return the titles that share the most words with the text: at least two, and half of their own."""
    words, shares = set(_WORDS.findall(text[:_SCANNED].lower())), dict[str, float]()
    for each in KNOWN_TEXTS:
        wanted = set(_WORDS.findall(each.title.lower()))
        if len(wanted & words) > 1:
            shares[each.headline] = len(wanted & words) / len(wanted)
    near = sorted((headline for headline, share in shares.items() if share >= _LEAST_SHARED), key=lambda each: -shares[each])
    return [f"'{headline}'" for headline in near[:_SUGGESTIONS]]
