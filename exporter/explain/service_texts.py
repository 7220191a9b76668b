"""From a text of Entra ID or a vault to the reason, by the classification, and from a reason to its codes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import fields

from exporter.core.classify import FAULT_RULES, STATUS_RULES, classify
from exporter.core.faults import Fault
from exporter.core.model import Facts, Step
from exporter.core.parsing.error_body import ErrorBody, read_error
from exporter.core.reasons import Reason
from exporter.core.reasons.markers import ENTRA_REASONS, VAULT_REASONS, reason_of_number
from exporter.explain.messages import MESSAGES

_FLAGS = re.IGNORECASE
_AADSTS = re.compile(r"\bAADSTS\s*:?\s*(\d{4,8})\b", _FLAGS)
_LISTED = re.compile(r"error_codes\W{1,8}([\d,\s]{4,200})|error\?code=(\d{4,8})\b", _FLAGS)
_DIGITS = re.compile(r"\d{4,8}")
_ALONE = re.compile(r"\d{5,8}")
_LONG = re.compile(r"(?<![\w.-])\d{6,8}(?![\w.-])")
_CERTAIN = (6, 7)  # digits of most numbers of Entra ID, and of no message of SQL Server and no code
_SIGN_IN_STATUSES, _VAULT_STATUSES = (401, 400, 403, 429, 503), (403, 401, 404, 429)
_SHARED = {field.name for field in fields(ErrorBody)} & {field.name for field in fields(Facts)}


def entra_reason(text: str) -> tuple[int, Reason] | None:
    """Return the AADSTS number that decides, and its reason; None without a number."""
    numbers = [*map(int, _AADSTS.findall(text)), *_numbers_of_body(text)] or _bare_numbers(text)
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
    return tuple(sorted(set(_codes_of(reason))))


def _numbers_of_body(text: str) -> list[int]:
    return [int(number) for listed, linked in _LISTED.findall(text) for number in _DIGITS.findall(listed or linked)]


def _bare_numbers(text: str) -> list[int]:
    """Return a number without the word AADSTS: alone, or of so many digits that nothing else is meant."""
    alone = [int(text)] if text.isascii() and _ALONE.fullmatch(text) else []
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


def _codes_of(reason: Reason) -> Iterator[int]:
    yield from (rule.code for rule in STATUS_RULES if rule.reason is reason)
    yield from (rule.code for rule in FAULT_RULES if rule.reason is reason)
    for step, rules in ((Step.GET_KEY, VAULT_REASONS), (Step.TOKEN, ENTRA_REASONS)):
        for status in (status for rule in rules if rule.reason is reason for status in rule.statuses):
            yield classify(step, Facts(fault=Fault.HTTP_STATUS, status=status)).code
    if any(rule.reason is reason and rule.markers[0].startswith("aadsts") for rule in ENTRA_REASONS):
        yield classify(Step.TOKEN, Facts(fault=Fault.HTTP_STATUS, status=reason.row.status)).code
