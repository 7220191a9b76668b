"""The numbers in a pasted text, each by its meaning: provider code, message of SQL Server, error of Windows, number of Entra ID.

The words around a number depend on the language of SQL Server and Windows, its place does not. At the end, the explanations of
what is no code. Which meaning comes first is decided in `search`.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields

from exporter.core.values import Facts, Fault, Step
from exporter.explain.explanation import Explanation
from exporter.explain.known_texts import LOW_HALF, WIN32, WINDOWS_ERRORS, WINDOWS_NAMES, KnownText, windows_error
from exporter.explain.messages import MESSAGES
from exporter.knowledge.answers import ErrorBody, read_error
from exporter.knowledge.classify import FAULT_RULES, STATUS_RULES, classify
from exporter.knowledge.code_row import ConnectorError
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.reasons import ENTRA_REASONS, VAULT_REASONS, Reason, reason_of_number

_FLAGS = re.IGNORECASE
NUMBER = r"(?:0x0*(?P<hex>[0-9a-f]{1,8})|(?P<dec>\d{1,5}))"
SMALLEST = 1000  # smaller codes mean too many other things without the words `provider error`
_OWN_FACILITY = 0x8004
_HIGHEST_LEVEL = 25
_COMMA = "[,\u3001\uff0c]"
_COLON = "[:\uff1a]"
_PROVIDER_CODE = re.compile(rf"provider error(?: code)?[\s:=#]*{NUMBER}\b", _FLAGS)
# "Msg 33111, Level 16, State 4", "Error: 33111, Severity: 16, State: 4", and the same in any language.
_HEAD = re.compile(
    rf"(?P<number>\d{{3,5}})\s?{_COMMA}\s?(?!info)[^\W\d][^\d\n{_COMMA[1:-1]}]{{0,24}}(?P<level>\d{{1,2}})\s?{_COMMA}"
    rf"\s?[^\W\d][^\d\n{_COMMA[1:-1]}]{{0,24}}\d{{1,3}}(?!\d)",
    _FLAGS,
)
_MSG = re.compile(
    r"\b(?:msg|message|meldung|meddelande|mens|mensaje|messaggio|mensagem|\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435)"
    r"[.:]?\s?(?P<number>\d{3,5})(?!\d)|(?:\u6d88\u606f|\u8a0a\u606f|\u30e1\u30c3\u30bb\u30fc\u30b8|\uba54\uc2dc\uc9c0)\s?(?P<other>\d{3,5})(?!\d)",
    _FLAGS,
)
_FIVE_DIGITS = re.compile(r"\b\d{5}\b")
_ERROR = re.compile(r"(?:\berror:?\s*)?(\d{4})", _FLAGS)
_QUOTED = re.compile(
    "'[^'\n]{0,256}'|\"[^\"\n]{0,256}\"|[\u00ab\u201e\u201c\u300c\u300e\u2018][^\u00bb\u201c\u201d\u300d\u300f\u2019\n]{0,256}[\u00bb\u201c\u201d\u300d\u300f\u2019]"
)
_NAMED = re.compile(r"\b(?:key|vault|name|named|database|credential|login)\s?[:=]?\s?\d+\b", _FLAGS)
# The last number after a colon: every language ends these messages with `provider error code: N. (...)`.
_NUMBER_AFTER_COLON = re.compile(rf"(?<!\d){_COLON}\s?(\d{{1,5}})(?![\d:])")
_LABEL = r"cod|kod|code|\u043a\u043e\u0434|err|fehler|fel|\u30b3\u30fc\u30c9|\u30a8\u30e9\u30fc|\u4ee3\u7801|\u4ee3\u78bc|\u9519\u8bef|\ucf54\ub4dc"
_LABELLED = re.compile(
    rf"(?:\b(?:provider|error|err|e|code|ekm|akv|connector)[\s:=#_-]*|(?:{_LABEL})[^\d\n:\uff1a=,;.()]{{0,40}}{_COLON}\s?)"
    r"(\d{1,4})(?!\w)(?![.:/-]\d)",
    _FLAGS,
)
_ANY_CODE = re.compile(r"(?<![\w.:/-])(\d{4})(?![\w:/-]|\.\d)")
_HRESULT = re.compile(r"\b(?:0x([8c][0-9a-f]{7})|(800[0-9a-f]{5}))\b|(?<![\w-])-(2\d{9})\b", _FLAGS)
_HEX_CODE = re.compile(rf"\W*{NUMBER}\W*", _FLAGS)
_SYMBOL = re.compile(r"\b[A-Z][A-Z_]{5,60}\b")
_INFO = re.compile(r"\binfo\W{0,2}(1[012]\d{3})\b", _FLAGS)
_WINDOWS = re.compile(
    r"\b(?:windows|win32|winsock|wininet|winhttp|socket|system|os|betriebssystem|syst\u00e8me|sistema)"
    r"[\s-]?(?:error|err|errno|fehler|fel|code)?(?:\s?code)?\W{0,3}(\d{1,5})(?!\w)(?!\.\d)"
    r"|\b(\d{1,5})\s?[(:]\s?access is denied",
    _FLAGS,
)
_OS_TEXT = re.compile(r"\b(?:error|fehler|erreur|errore|fel)\W{0,2}(\d{1,5})\([^\W\d]", _FLAGS)
_WINDOWS_NUMBER = re.compile(r"(?:error[\s:]*)?(1[012]\d{3})", _FLAGS)


def row_of(match: re.Match[str], *, least: int = 0) -> ConnectorError | None:
    """Return the code of a match of `NUMBER`, also as the lower half of an HRESULT; None for another number."""
    digits = match["hex"]
    number = int(match["dec"]) if digits is None else int(digits, 16)
    if digits is not None and number not in BY_CODE and number >> 16 != WIN32:
        number &= LOW_HALF
    return BY_CODE.get(number) if number >= least else None


def provider_code(text: str) -> ConnectorError | None:
    """Return the code after `Provider error code:`; the first failure if there are several codes."""
    rows = [row for match in _PROVIDER_CODE.finditer(text) if (row := row_of(match)) is not None]
    return next((row for row in rows if row.code), rows[0] if rows else None)


def named_provider_code(text: str) -> str:
    """Return the digits after `Provider error code:`, known or not; else an empty text."""
    match = _PROVIDER_CODE.search(text)
    return "" if match is None else match["dec"] or match["hex"]


def message_numbers(text: str) -> list[int]:
    """Return the numbers of messages of SQL Server. A number with a level counts even if no table lists it."""
    sure = [int(match["number"]) for match in _HEAD.finditer(text) if int(match["level"]) <= _HIGHEST_LEVEL]
    sure += [int(match["number"] or match["other"]) for match in _MSG.finditer(text)]
    alone = _ERROR.fullmatch(text)
    likely = [int(number) for number in _FIVE_DIGITS.findall(text)] + ([int(alone[1])] if alone else [])
    return sure + [number for number in likely if number in MESSAGES and number not in BY_CODE]


def without_names(text: str) -> str:
    """Return the text without quoted parts, numbers that are names, and the heads of messages."""
    for pattern in (_HEAD, _MSG, _QUOTED, _NAMED):
        text = pattern.sub(" ", text)
    return text


def translated_code(text: str) -> ConnectorError | None:
    """Return the provider code of a message in another language; `text` is that of a message which has one."""
    plain = without_names(text)
    numbers = [int(number) for number in _NUMBER_AFTER_COLON.findall(plain)] or [
        int(number) for number in _ANY_CODE.findall(plain)
    ]
    return next((BY_CODE[number] for number in reversed(numbers) if number and number in BY_CODE), None)


def labelled_codes(text: str) -> list[ConnectorError]:
    """Return the codes after a word such as `error` or `code`."""
    return [BY_CODE[int(number)] for number in _LABELLED.findall(without_names(text)) if int(number) in BY_CODE]


def any_code(text: str) -> ConnectorError | None:
    """Return the first number of four digits that is a code and no name."""
    return next((BY_CODE[int(number)] for number in _ANY_CODE.findall(without_names(text)) if int(number) in BY_CODE), None)


def wrapped_code(text: str) -> ConnectorError | None:
    """Return the code as a hexadecimal number, alone or in an HRESULT of the provider's own facility: 0xCE7, 0x80040CE7."""
    alone = _HEX_CODE.fullmatch(text)
    if alone is not None and alone["hex"] and int(alone["hex"], 16) <= LOW_HALF:
        return row_of(alone, least=SMALLEST)
    number = _hresult(text) or 0
    return BY_CODE.get(number & LOW_HALF) if number >> 16 == _OWN_FACILITY and number & LOW_HALF >= SMALLEST else None


def _hresult(text: str) -> int | None:
    found = _HRESULT.search(text)
    if found is None:
        return None
    return (1 << 32) - int(found[3]) if found[3] else int(found[1] or found[2], 16)


def windows_number(text: str) -> int | None:
    """Return the number of a Windows error: an HRESULT, a name, or a number that the text calls one."""
    number = _hresult(text)
    if number is not None:
        return number
    symbol = next((WINDOWS_NAMES[word] for word in _SYMBOL.findall(text) if word in WINDOWS_NAMES), None)
    if symbol is not None:
        return symbol
    named = _INFO.search(text) or _WINDOWS.search(text) or _OS_TEXT.search(text)
    if named is not None:
        return int(next(group for group in named.groups() if group))
    alone = _WINDOWS_NUMBER.fullmatch(text)
    return int(alone[1]) if alone and int(alone[1]) in WINDOWS_ERRORS else None


# From a text of Entra ID or a vault to the reason, by the classification, and from a reason to its codes.

_AADSTS = re.compile(r"\bAADSTS\s*:?\s*(\d{4,8})\b", _FLAGS)
_LISTED = re.compile(r"error_codes\W{1,8}([\d,\s]{4,200})|error\?code=(\d{4,8})\b", _FLAGS)
_DIGITS = re.compile(r"\d{4,8}")
_ENTRA_NUMBER = re.compile(r"\d{5,8}")
_LONG = re.compile(r"(?<![\w.-])\d{6,8}(?![\w.-])")
_CERTAIN = (6, 7)  # digits of most numbers of Entra ID, and of no message of SQL Server and no code
_SIGN_IN_STATUSES, _VAULT_STATUSES = (401, 400, 403, 429, 503), (403, 401, 404, 429)
_SHARED = {field.name for field in fields(ErrorBody)} & {field.name for field in fields(Facts)}


def entra_reason(text: str) -> tuple[int, Reason] | None:
    """Return the AADSTS number that decides, and its reason; None without a number."""
    of_body = [int(number) for listed, linked in _LISTED.findall(text) for number in _DIGITS.findall(listed or linked)]
    numbers = [*map(int, _AADSTS.findall(text)), *of_body] or _bare_numbers(text)
    if not numbers:
        return None
    body = read_error(json.dumps({"error": "", "error_codes": numbers, "error_description": text}).encode())
    number = numbers[0] if body.aadsts is None else body.aadsts
    return number, _classified(Step.TOKEN, _SIGN_IN_STATUSES, body) or Reason.SIGN_IN_REFUSED


def vault_reason(text: str) -> Reason | None:
    """Return the reason that a sentence of a vault implies, None without one."""
    return _classified(Step.GET_KEY, _VAULT_STATUSES, read_error(json.dumps({"error": {"code": "", "message": text}}).encode()))


def codes_of(reason: Reason) -> tuple[int, ...]:
    """Return the codes that a step with this reason can have, in order."""
    codes = {rule.code for rules in (STATUS_RULES, FAULT_RULES) for rule in rules if rule.reason is reason}
    for step, rules in ((Step.GET_KEY, VAULT_REASONS), (Step.TOKEN, ENTRA_REASONS)):
        statuses = {status for rule in rules if rule.reason is reason for status in rule.statuses}
        codes |= {classify(step, Facts(fault=Fault.HTTP_STATUS, status=status)).code for status in statuses}
    if any(rule.reason is reason and rule.markers[0].startswith("aadsts") for rule in ENTRA_REASONS):
        codes.add(classify(Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=reason.row.status)).code)
    return tuple(sorted(codes))


def _bare_numbers(text: str) -> list[int]:
    """Return a number without the word AADSTS: alone, or of so many digits that nothing else is meant."""
    alone = [int(text)] if text.isascii() and _ENTRA_NUMBER.fullmatch(text) else []
    if alone and (len(text) in _CERTAIN or reason_of_number(alone[0])) and alone[0] not in MESSAGES:
        return alone
    return [int(number) for number in _LONG.findall(text) if reason_of_number(int(number))]


def _classified(step: Step, statuses: tuple[int, ...], body: ErrorBody) -> Reason | None:
    """Return the reason that the body adds to the bare status, under the first status at which it adds one."""
    known = {name: getattr(body, name) for name in _SHARED}
    for status in statuses:
        reason = classify(step, Facts(fault=Fault.HTTP_STATUS, status=status, **known)).reason
        if reason is not classify(step, Facts(fault=Fault.HTTP_STATUS, status=status)).reason:
            return reason
    return None


# The explanations of what is no code.

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
    shown = f"{plain} (0x{number:08X})" if number != plain else f"0x{plain:08X}" if plain > LOW_HALF else str(plain)
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
