"""One parser of a paste: its text, and the numbers in it that have a sign of what they are.

A number is a provider code after the words for it in any language, in a line of the connector, in a text about a provider after
`error`, as an HRESULT of the provider, or if nothing else is pasted. Any other number, such as that of a process, a port or rows, is
none. The same holds for messages of SQL Server, errors of Windows and numbers of Entra ID. At the end, the explanations of what is no
code. Which meaning comes first is decided in `search`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus

from exporter.core.values import Facts, Fault, Step
from exporter.explain.explanation import Explanation
from exporter.explain.known_texts import LOW_HALF, OF_FILES, WIN32, WINDOWS_ERRORS, WINDOWS_NAMES, KnownText, windows_error
from exporter.explain.messages import MESSAGES
from exporter.knowledge.advice import NOBODY, chosen, owner_of_reason
from exporter.knowledge.answers import ErrorBody, read_error
from exporter.knowledge.classify import FAULT_RULES, STATUS_RULES, classify
from exporter.knowledge.code_row import ConnectorError, Owner
from exporter.knowledge.codes import BY_CODE, both_numbers
from exporter.knowledge.names import fill_names
from exporter.knowledge.reason_row import sentence
from exporter.knowledge.reasons import ENTRA_REASONS, VAULT_REASONS, Reason, reason_of_number

_FLAGS = re.IGNORECASE
NUMBER = r"(?:0x0*(?P<hex>[0-9a-f]{1,8})|(?P<dec>\d{1,5}))"
SMALLEST = 1000  # smaller codes mean too many other things without the words `provider error`
_BRIEF = 36  # in which nothing but an error is pasted
_COMMA = "[,\u3001\uff0c]"
_COLON = "[:\uff1a]"
# The provider in the languages of SQL Server. Only English needs no colon before the number.
_PROVIDER = (
    r"provider|anbieter|fournisseur|prove+dor|fornitore|dostawc|leverant|\u043f\u043e\u0441\u0442\u0430\u0432\u0449\u0438\u043a|"
    r"\u30d7\u30ed\u30d0\u30a4\u30c0|\u63d0\u4f9b\u7a0b\u5e8f|\u63d0\u4f9b\u8005|\uacf5\uae09\uc790"
)
_PROVIDER_CODE = re.compile(
    rf"(?:provider error(?: code)?[\s:=#]*|(?:{_PROVIDER})[^\d\n:\uff1a=,;.()'\"]{{0,40}}{_COLON}\s?){NUMBER}\b", _FLAGS
)
# "Msg 33111, Level 16, State 4", "Error: 33111, Severity: 16, State: 4", and the same in any language.
_HEAD = re.compile(
    rf"(?P<number>\d{{3,5}})\s?{_COMMA}\s?(?!info)[^\W\d][^\d\n{_COMMA[1:-1]}]{{0,24}}(?P<level>\d{{1,2}})\s?{_COMMA}"
    rf"\s?[^\W\d][^\d\n{_COMMA[1:-1]}]{{0,24}}\d{{1,3}}(?!\d)",
    _FLAGS,
)
# "Msg 33111" in any language; SQL Server Agent, the dialog of Management Studio, .NET, DBeaver and the viewer of events.
_MSG = re.compile(
    r"(?:\b(?:msg|message|meldung|meddelande|mens|mensaje|messaggio|mensagem|\u0441\u043e\u043e\u0431\u0449\u0435\u043d\u0438\u0435)[.:]?\s?"
    r"|(?:\u6d88\u606f|\u8a0a\u606f|\u30e1\u30c3\u30bb\u30fc\u30b8|\uba54\uc2dc\uc9c0)\s?"
    rf"|\[sqlstate \w{{5}}\] \([^\W\d]+ |microsoft sql server\s?{_COMMA}\s?[^\W\d][^\d\n:\uff1a]{{0,12}}{_COLON}\s?"
    rf"|\berror number{_COLON}\s?|\bsql error \[|\b(?:event[ -]?id|ereignis-id){_COLON}?\s+)(?P<number>\d{{3,5}})(?!\d)",
    _FLAGS,
)

_QUOTED = re.compile(
    "'[^'\n]{0,256}'|\"[^\"\n]{0,256}\"|[\u00ab\u201e\u201c\u300c\u300e\u2018][^\u00bb\u201c\u201d\u300d\u300f\u2019\n]{0,256}[\u00bb\u201c\u201d\u300d\u300f\u2019]"
)
_NAMED = re.compile(r"\b(?:key|vault|name|named|database|credential|login)\s?[:=]?\s?\d+\b", _FLAGS)
# The last number after a colon: every language ends these messages with `provider error code: N. (...)`.
_NUMBER_AFTER_COLON = re.compile(rf"(?<!\d){_COLON}\s?(\d{{1,5}})(?![\d:])")
_ANY_CODE = re.compile(r"(?<![\w.:/-])(\d{4})(?![\w:/-]|\.\d)")
# Nothing but a number and such words: what a person types.
_ALONE = re.compile(
    rf"(?!-)\W*(?:(?:error|err|code|scp_err|number|fehler|fehlercode|no|e|provider|ekm|akv|connector|azure|key|vault|sql|server|the|a|an|i|we|get|got|getting|is|was|with)"
    rf"\b[\s:=#_-]*)*e?{NUMBER}\W*",
    _FLAGS,
)
_ABOUT_A_PROVIDER = re.compile(
    r"cryptographic provider|asymmetric key|\b(?:ekm|akv)\b|key ?vault|sql server connector|\boperation\s?:|acquiretoken|(?:un)?wrapkey|getkeyby"
    r"|\berror\s?:\s?\d+\s?,\s?info\s?:",
    _FLAGS,
)
_LABELLED = re.compile(r"\b(?:provider|error|err|e|code|ekm|akv|connector)[\s:=#_-]*(\d{1,4})(?!\w)(?![.:/-]\d)", _FLAGS)
# A line of the log, an error of a client of SQL Server, or of mirroring, mail, WinRM or a ping, which a vault does not answer.
_OF_SQL_SERVER = re.compile(
    r"\W*\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+ +(?:spid\d+\w?|server|logon|backup)\b"
    r"|.*(?:\(provider: [\w ]{1,40}, error: |network-related or instance-specific error|\bodbc\b|\bole ?db\b|native client|sspi context"
    r"|\b(?:tcp|ssl|named pipes|shared memory) provider\b|availability (?:group|replica)|mail server failure|\bwinrm\b"
    r"|sqlserverexception|wait operation timed out|pre-login|database mirroring|\b(?:1433|5022|smtp|pinging)\b|tracing route)",
    _FLAGS,
)
_HRESULT = re.compile(r"\b(?:0x((?!8013)[8c][0-9a-f]{7})|(800[0-9a-f]{5}))\b|(?<![\w-])-(2\d{9})\b", _FLAGS)
_WINDOWS = re.compile(
    r"\binfo\W{0,2}(1[012]\d{3})\b"
    r"|\b(?:windows|win32|winsock|wininet|winhttp|socket|system|os|betriebssystem|syst\u00e8me|sistema)[\s-]?(?:error|err|errno|fehler|fel|code)(?:\s?code)?\W{0,3}(\d{1,5})(?!\w)(?!\.\d)"
    r"|\b(\d{1,5})\s?[(:]\s?access is denied"
    r"|\b(?:error|fehler|erreur|errore|fel)\W{0,2}(\d{1,5})\([^\W\d]",
    _FLAGS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paste:
    """A text in one line. `plain` lacks the heads of messages, quoted parts and numbers that are names.

    `codes` are those that the text calls a provider's: failures in their order, then a success. `alone` is the only number of a text.
    """

    text: str
    folded: str
    plain: str
    messages: tuple[int, ...] = ()  # of SQL Server
    codes: tuple[ConnectorError, ...] = ()
    alone: int | None = None
    is_about_a_provider: bool = False
    is_of_sql_server: bool = False  # one of its messages, a line of its log, or an error of a client of it or of Windows

    def has(self, known: KnownText) -> bool:
        """Whether the text has the number or the sentence."""
        return known.number in self.messages or re.search(known.pattern, self.folded) is not None


def read(text: str) -> Paste:
    """Read a text that is one line."""
    plain, alone = without_names(text), _ALONE.fullmatch(text)
    number = None if alone is None else _value(alone)
    is_other = alone is None or alone["hex"] is not None or bool(named_provider_code(text))
    messages = _messages(text, None if is_other else number)
    rows = [row for match in _PROVIDER_CODE.finditer(text) if (row := row_of(match)) is not None]
    coded = sum(each in MESSAGES and MESSAGES[each].has_code for each in set(messages))
    if coded and not rows:
        rows = translated_codes(plain)[-coded:]
    return Paste(
        text=text,
        folded=text.casefold(),
        plain=plain,
        messages=tuple(messages),
        codes=tuple(sorted(dict.fromkeys(rows), key=lambda row: row.code == 0)),
        alone=number,
        is_about_a_provider=_ABOUT_A_PROVIDER.search(text) is not None,
        is_of_sql_server=(_HEAD.search(text) or _OF_SQL_SERVER.match(text)) is not None,
    )


def _value(match: re.Match[str]) -> int:
    return int(match["dec"]) if match["hex"] is None else int(match["hex"], 16)


def row_of(match: re.Match[str], *, least: int = 0) -> ConnectorError | None:
    """Return the code of a match of `NUMBER`, also as the lower half of an HRESULT; None for another number."""
    number = _value(match)
    if match["hex"] is not None and number not in BY_CODE and number >> 16 != WIN32:
        number &= LOW_HALF
    return BY_CODE.get(number) if number >= least else None


def named_provider_code(text: str) -> str:
    """Return the digits after `Provider error code:`, known or not; else an empty text."""
    match = _PROVIDER_CODE.search(text)
    return "" if match is None else match["dec"] or match["hex"]


def _messages(text: str, alone: int | None) -> list[int]:
    """Return the numbers of messages. A number with a level or the word for a message counts even if no table lists it.

    `alone` is a number that stands alone, in decimal, and that the text does not call a provider's.
    """
    sure = [int(match["number"]) for match in _HEAD.finditer(text) if int(match["level"]) <= 25]
    sure += [int(match["number"]) for match in _MSG.finditer(text)]
    likely = [*map(int, re.findall(r"\berror[:\s]\s?(\d{5})(?![\d.])", text, _FLAGS)), *([] if alone is None else [alone])]
    return sure + [number for number in likely if number in MESSAGES and number not in BY_CODE]


def without_names(text: str) -> str:
    """Return the text without quoted parts, numbers that are names, and the heads of messages."""
    for pattern in (_HEAD, _MSG, _QUOTED, _NAMED):
        text = pattern.sub(" ", text)
    return text


def translated_codes(plain: str) -> list[ConnectorError]:
    """Return the codes in a message of any language: the numbers after a colon, else all of four digits."""
    return _rows(number for number in _NUMBER_AFTER_COLON.findall(plain) or _ANY_CODE.findall(plain) if int(number))


def _rows(numbers: Iterable[str]) -> list[ConnectorError]:
    return [BY_CODE[int(number)] for number in numbers if int(number) in BY_CODE]


def labelled_codes(paste: Paste) -> list[ConnectorError]:
    """Return the code that is alone with words for one, or the codes after `error` and the like in a text about a provider."""
    if paste.alone is not None:
        return _rows([str(paste.alone)])
    return _rows(_LABELLED.findall(paste.plain)) if paste.is_about_a_provider else []


def wrapped_code(paste: Paste) -> ConnectorError | None:
    """Return the code as a hexadecimal number, alone or in an HRESULT of the provider's own facility: 0xCE7, 0x80040CE7."""
    alone, number = _ALONE.fullmatch(paste.text), _hresult(paste.text) or 0
    if alone is not None and alone["hex"] and int(alone["hex"], 16) <= LOW_HALF:
        return row_of(alone, least=SMALLEST)
    # The errors of OLE DB, 0x80040Exx, have the same facility.
    is_own = number >> 16 == 0x8004 and (number >> 8 != 0x80040E or paste.is_about_a_provider)
    return BY_CODE.get(number & LOW_HALF) if is_own and number & LOW_HALF >= SMALLEST else None


def _hresult(text: str) -> int | None:
    found = _HRESULT.search(text)
    if found is None:
        return None
    return (1 << 32) - int(found[3]) if found[3] else int(found[1] or found[2], 16)


def windows_number(text: str) -> int | None:
    """Return the number of a Windows error: an HRESULT, a name, or a number that the text calls one."""
    number, named = _hresult(text), _WINDOWS.search(text)
    if number is None:
        number = next((WINDOWS_NAMES[word] for word in re.findall(r"\b[A-Z][A-Z_]{5,60}\b", text) if word in WINDOWS_NAMES), None)
    if number is None and named is not None:
        number = int(next(filter(None, named.groups())))
    alone = re.fullmatch(r"(?:error[\s:]*)?(1[012]\d{3})", text, _FLAGS) if number is None else None
    return int(alone[1]) if alone and int(alone[1]) in WINDOWS_ERRORS else number


# From a text of Entra ID or a vault to the reason, by the classification, and from a reason to its codes.

_AADSTS = re.compile(r"\bAADSTS\s*:?\s*(\d{4,8})\b", _FLAGS)
_LISTED = re.compile(r"error_codes\W{1,8}([\d,\s]{4,200})|error\?code=(\d{4,8})\b", _FLAGS)
_SIGN_IN_STATUSES, _VAULT_STATUSES = (401, 400, 403, 429, 503), (403, 401, 404, 429)
_SHARED = {*ErrorBody.__struct_fields__} & {*Facts.__struct_fields__}


def entra_reason(text: str) -> tuple[int, Reason] | None:
    """Return the AADSTS number that decides, and its reason; None without a number."""
    numbers = list(map(int, _AADSTS.findall(text)))
    numbers += [int(number) for parts in _LISTED.findall(text) for number in re.findall(r"\d{4,8}", "".join(parts))]
    numbers = numbers or _bare_numbers(text)
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
    alone = int(text) if text.isascii() and re.fullmatch(r"\d{5,8}", text) else 0
    # Most numbers of Entra ID have six or seven digits, and no message of SQL Server and no code has.
    if alone and (len(text) in (6, 7) or reason_of_number(alone)) and alone not in MESSAGES:
        return [alone]
    return [int(number) for number in re.findall(r"(?<![\w.-])\d{6,8}(?![\w.-])", text) if reason_of_number(int(number))]


def _classified(step: Step, statuses: tuple[int, ...], body: ErrorBody) -> Reason | None:
    """Return the reason that the body adds to the bare status, under the first status at which it adds one."""
    known = {name: getattr(body, name) for name in _SHARED}
    for status in statuses:
        reason = classify(step, Facts(fault=Fault.HTTP_STATUS, status=status, **known)).reason
        if reason is not classify(step, Facts(fault=Fault.HTTP_STATUS, status=status)).reason:
            return reason
    return None


# The explanations of what is no code.


def explain_known_text(known: KnownText | None, text: str = "") -> Explanation | None:
    """Explain a known text, with the thumbprint of `text` in its title and commands."""
    if known is None:
        return None
    if known.reason is not None:
        found = explain_reason(known.reason, title=f"{known.reason}: {known.title}")
        summary, actions = f"{known.summary} {found.summary}".strip(), (*known.actions, *found.actions)
        return replace(found, summary=summary, actions=actions)
    thumbprint = re.search(r"0x[0-9A-F]{12,64}\b", text, re.IGNORECASE)
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


def explain_windows_error(number: int, paste: Paste) -> Explanation:
    """Explain an error of Windows. A connector code in the same text is the one that SQL Server shows; a file has none.

    A longer text is about the connector's registry key only if it says so.
    """
    of_the_registry = paste.is_about_a_provider or "regist" in paste.folded or len(paste.text) <= _BRIEF
    plain, error = windows_error(number, of_a_file=not of_the_registry or OF_FILES.search(paste.folded) is not None)
    codes = (*(row.code for row in labelled_codes(paste) if row.code >= SMALLEST), *([] if error.code is None else [error.code]))
    row = BY_CODE[codes[0]] if codes else None
    shown = f"{plain} (0x{number:08X})" if number != plain else f"0x{plain:08X}" if plain > LOW_HALF else str(plain)
    summary = f"This is an error of Windows{f', not provider code {plain}' if plain in BY_CODE else ''}."
    if row is not None:
        summary += f" The connector reports it as {both_numbers(row.code)} {row.symbol}."
    return Explanation(
        title=f"Windows error {shown}: {error.meaning}",
        summary=summary,
        actions=error.actions or _actions(error.reason, row),
        rows=() if row is None else (row,),
        reason=error.reason,
        owner=Owner.DBA if row is None else row.owner,
    )


def explain_small_number(row: ConnectorError) -> Explanation:
    """Explain a small number after the word error, which Windows and the provider use for different failures."""
    if row.code >= HTTPStatus.BAD_REQUEST:
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


def explain_reason(reason: Reason, *, title: str = "", codes: tuple[int, ...] = (), number: int | None = None) -> Explanation:
    """Explain a reason by its text, its codes and its advice; `number` is that of Entra ID."""
    rows = tuple(BY_CODE[code] for code in codes or codes_of(reason))
    numbers = ", ".join(both_numbers(row.code) for row in rows)
    return Explanation(
        title=title or str(reason),
        summary=sentence(reason.row.text) + (f" Code: {numbers}." if numbers else ""),
        actions=_actions(reason, next(iter(rows), None), number),
        rows=rows,
        reason=reason,
        owner=_owner(reason, rows),
    )


def _owner(reason: Reason, rows: tuple[ConnectorError, ...]) -> Owner:
    """Return the team for a reason; what Entra ID alone answers has codes that other services' answers have too."""
    if reason in (Reason.SIGN_IN_REFUSED, Reason.ENTRA_UNAVAILABLE):
        return Owner.IDENTITY
    return owner_of_reason(reason, Step.GET_KEY) or next((row.owner for row in rows), Owner.NETWORK)


def _actions(reason: Reason | None, row: ConnectorError | None, number: int | None = None) -> tuple[str, ...]:
    """Return the actions of a reason, else those of a code, with capital words for all that this command does not know."""
    found = chosen(None if row is None else row.code, reason)
    return tuple(fill_names(each, replace(NOBODY, aadsts=number)) for each in found)
