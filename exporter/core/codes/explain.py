"""Explain a text: code, symbol, reason, AADSTS number, message or log line.

Pure: the command `explain` and the page `/explain` show the same result.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from exporter.core.classify import FAULT_RULES, STATUS_RULES, classify
from exporter.core.codes import BY_CODE, CODES, ConnectorError, both_numbers, find
from exporter.core.codes.actions import BY_REASON
from exporter.core.codes.messages import MESSAGES
from exporter.core.codes.reasons import REASON_TEXTS
from exporter.core.codes.wininet import WININET
from exporter.core.faults import Fault, Reason
from exporter.core.model import Facts, Step
from exporter.core.reason_rules import ENTRA_REASONS, VAULT_REASONS, reason_of_number

KINDS = (
    "a connector code or symbol, a message of SQL Server, a log line, an AADSTS or AKV number, "
    "a Windows error, a reason, an inner code, or an HTTP status (403 unwrapKey)"
)
_AROUND = " \t\r\n.,;:()[]'\""  # around a code in a sentence
LONGEST = 4000  # characters of a pasted text that are read
_SUGGESTIONS = 3
_NEIGHBOURS = 2  # how far apart two numbers are at most for a suggestion
_FLAGS = re.IGNORECASE

_PROVIDER_CODE = re.compile(r"provider error code:?\s*(\d{1,5})\b", _FLAGS)
_LABELLED = re.compile(r"\b(?:provider|error|err|e|code|ekm|akv|connector)[\s:=#_-]*(\d{1,4})\b(?![.:/-]\d)", _FLAGS)
_EVENT_STATUS = re.compile(r"\binfo:?\s*(\d{3})\b", _FLAGS)
_AADSTS = re.compile(r"\bAADSTS\s*:?\s*(\d{4,8})\b", _FLAGS)
_BARE_NUMBER = re.compile(r"\d{5,8}")
_AKV = re.compile(r"\bAKV(\d{5})\b", _FLAGS)
_MESSAGE = re.compile(r"\b(\d{5})\b")
_LIBRARY = re.compile(r"cannot load library", _FLAGS)
_STATUS = re.compile(r"\b([45]\d\d)\b")
_BARE_STATUS = re.compile(r"(?:http(?:\s+status)?|status|info:?)?\s*([45]\d\d)", _FLAGS)
_WININET = re.compile(r"\b(12\d{3})\b")
_ANY_CODE = re.compile(r"(?<![\w.:/-])(\d{4})(?![\w:/-]|\.\d)")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The meaning of one text.

    `rows` are connector codes: the whole result, or the codes that belong to the other fields.
    """

    title: str = ""
    summary: str = ""
    causes: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    rows: tuple[ConnectorError, ...] = ()
    reason: Reason | None = None  # if the text stands for one
    page: str = ""  # of the documentation

    @property
    def is_code(self) -> bool:
        """Whether the text is a connector code and nothing else needs to be shown."""
        return not self.title


def explain(text: str) -> Explanation | None:
    """Explain `text`; None if it is of no known kind."""
    text = text[:LONGEST].strip(_AROUND)
    return next((found for look_up in _LOOK_UPS if (found := look_up(text)) is not None), None)


def explain_log_text(text: str) -> Explanation | None:
    """Explain the text of an event, which may have numbers of any meaning."""
    text = text[:LONGEST]
    return next((found for look_up in _IN_LOG_TEXTS if (found := look_up(text)) is not None), None)


def unknown(text: str) -> str:
    """Describe in one line why `text` has no explanation, and what is understood."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text.strip())[:60]
    number = _PROVIDER_CODE.search(text)
    if number is not None:
        shown = number[1]
    if re.fullmatch(r"(?:(?:msg|message|error)[\s:]*)?\d{5}\D*", shown, _FLAGS | re.ASCII):
        return (
            f"no such code: {shown!r}. A number of five digits is a message of SQL Server or a number of Entra ID. "
            "The text of the message may name a provider code. Write AADSTS before a number of Entra ID."
        )
    near = _near_numbers(shown) if shown.isdecimal() else _near_symbols(shown)
    return f"no such code: {shown!r}. " + (f"Did you mean {', '.join(near)}?" if near else f"Accepted inputs: {KINDS}.")


def _exact(text: str) -> Explanation | None:
    rows = find(text)
    return Explanation(rows=rows) if rows else None


def _provider_code(text: str) -> Explanation | None:
    number = _PROVIDER_CODE.search(text)
    rows = find(number[1]) if number is not None else ()
    return Explanation(rows=rows) if rows else None


def _aadsts(text: str) -> Explanation | None:
    numbers = [int(number) for number in _AADSTS.findall(text)]
    if not numbers and _BARE_NUMBER.fullmatch(text) and int(text) not in MESSAGES:
        numbers = [int(text)] if reason_of_number(int(text)) else []
    if not numbers:
        return None
    number = next((one for one in numbers if reason_of_number(one)), numbers[0])
    reason = reason_of_number(number)
    if reason is None:
        return Explanation(
            title=f"AADSTS{number}",
            summary="A number of Entra ID that the exporter does not map to a reason.",
            actions=(f"Read its description: https://login.microsoftonline.com/error?code={number}.",),
        )
    return _of_reason(reason, title=f"AADSTS{number}: {reason}")


def _akv(text: str) -> Explanation | None:
    number = _AKV.search(text)
    if number is None:
        return None
    found = classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=401, akv=int(number[1])))
    return _of_reason(found.reason, title=f"AKV{number[1]}: {found.reason}", codes=(found.code,))


def _message(text: str) -> Explanation | None:
    numbers = [int(number) for number in _MESSAGE.findall(text)]
    if _LIBRARY.search(text):
        numbers.append(33027)
    message = next((MESSAGES[number] for number in numbers if number in MESSAGES), None)
    if message is None:
        return None
    title = f"Message {message.number} of SQL Server: {message.title}"
    return Explanation(title=title, summary=message.summary, causes=message.causes, actions=message.actions, page=message.page)


def _symbol(text: str) -> Explanation | None:
    return next((Explanation(rows=rows) for word in _WORD.findall(text) if "rr" in word and (rows := find(word))), None)


def _status_with_operation(text: str) -> Explanation | None:
    step = next((_OPERATIONS[word.lower()] for word in _WORD.findall(text) if word.lower() in _OPERATIONS), None)
    status = _EVENT_STATUS.search(text) or _STATUS.search(text)
    if step is None or status is None:
        return None
    found = classify(step, Facts(fault=Fault.HTTP_STATUS, status=int(status[1])))
    return Explanation(rows=(BY_CODE[found.code],))


def _inner_code(text: str) -> Explanation | None:
    words = {word.lower() for word in _WORD.findall(text)}
    rule = next((rule for rule in VAULT_REASONS if not words.isdisjoint(rule.markers)), None)
    return None if rule is None else _of_reason(rule.reason, title=str(rule.reason))


def _bare_status(text: str) -> Explanation | None:
    status = _BARE_STATUS.fullmatch(text)
    if status is None:
        return None
    found = classify(Step.GET_KEY, Facts(fault=Fault.HTTP_STATUS, status=int(status[1])))
    row = BY_CODE[found.code]
    return Explanation(
        title=f"HTTP status {status[1]} of a vault",
        summary=f"{row.summary} Name the operation for the code of the sign-in: `{status[1]} token`.",
        causes=row.causes,
        actions=row.actions,
        rows=(row,),
    )


def _windows_error(text: str) -> Explanation | None:
    number = next((int(each) for each in _WININET.findall(text) if int(each) in WININET), None)
    if number is None:
        return None
    meaning, code = WININET[number]
    row = BY_CODE[code]
    return Explanation(
        title=f"Windows error {number}: {meaning}",
        summary=f"The connector reports it as {both_numbers(code)} {row.symbol}.",
        actions=row.actions,
        rows=(row,),
    )


def _any_code(text: str) -> Explanation | None:
    """Find a code anywhere in the text."""
    return next((Explanation(rows=rows) for number in _ANY_CODE.findall(text) if (rows := find(number))), None)


def _labelled(text: str) -> Explanation | None:
    return next((Explanation(rows=rows) for number in _LABELLED.findall(text) if (rows := find(number))), None)


def _reason(text: str) -> Explanation | None:
    reasons = (Reason(word.lower()) for word in _WORD.findall(text) if word.lower() in set(Reason))
    reason = next(reasons, None)
    return None if reason is None else _of_reason(reason, title=str(reason))


# The first kind that fits; a provider code in a message comes before the message.
_LOOK_UPS: tuple[Callable[[str], Explanation | None], ...] = (
    _exact,
    _provider_code,
    _aadsts,
    _akv,
    _message,
    _symbol,
    _inner_code,
    _status_with_operation,
    _bare_status,
    _labelled,
    _windows_error,
    _reason,
    _any_code,
)

_IN_LOG_TEXTS = (_aadsts, _akv, _symbol, _inner_code, _status_with_operation, _windows_error)


def _of_reason(reason: Reason, *, title: str, codes: tuple[int, ...] = ()) -> Explanation:
    """Explain a reason by its text, its codes and its advice."""
    rows = tuple(BY_CODE[code] for code in codes or sorted(set(_codes_of(reason))))
    numbers = ", ".join(both_numbers(row.code) for row in rows)
    text = REASON_TEXTS[reason]
    advice = BY_REASON.get(reason) or (rows[0].actions if rows else ())
    summary = f"{text[0].upper()}{text[1:]}." + (f" Code: {numbers}." if numbers else "")
    return Explanation(title=title, summary=summary, actions=advice, rows=rows, reason=reason)


def _codes_of(reason: Reason) -> Iterator[int]:
    yield from (rule.code for rule in STATUS_RULES if rule.reason is reason)
    yield from (rule.code for rule in FAULT_RULES if rule.reason is reason)
    for step, rules in ((Step.GET_KEY, VAULT_REASONS), (Step.TOKEN, ENTRA_REASONS)):
        for status in (status for rule in rules if rule.reason is reason for status in rule.statuses):
            yield classify(step, Facts(fault=Fault.HTTP_STATUS, status=status)).code
    if any(rule.reason is reason and rule.markers[0].startswith("aadsts") for rule in ENTRA_REASONS):
        yield 3303 if reason in _REFUSED_WITH_401 else 3128


# Entra refuses the credential itself with 401; all else is a bad request.
_REFUSED_WITH_401 = (
    Reason.SECRET_EXPIRED,
    Reason.SECRET_WRONG,
    Reason.CREDENTIALS_REFUSED,
    Reason.CLOCK_SKEW,
    Reason.CERTIFICATE_UNKNOWN,
    Reason.CERTIFICATE_EXPIRED,
    Reason.CERTIFICATE_REFUSED,
    Reason.FEDERATION_UNMATCHED,
    Reason.APPLICATION_NOT_IN_TENANT,
)


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
