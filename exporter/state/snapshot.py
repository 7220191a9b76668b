"""The document of a target that the state directory keeps, and back.

The document holds last success and verdict, facts about key and vault, and the last failures. Each entry names its vault and key,
because the configuration may change while the exporter is down. Counters are left out: Prometheus expects them to start at 0.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from exporter.core.values import KeyFacts, PeerCertificate, Readiness, Step, VaultHeaders
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import NO_FAILURE, WHY, FailedProbe, State
from exporter.state.record import (
    LETTERS,
    MAX_CHANGES,
    RECENT,
    SUMMARIES,
    ChangeKind,
    FailureSummary,
    ObservedChange,
    TargetRecord,
    failed_among,
)


class DamagedError(ValueError):
    """The document is not one that `snapshot` made."""


def snapshot(record: TargetRecord) -> dict[str, Any]:
    """A document of plain JSON."""
    verdict = record.verdict
    return {
        "vault": record.target.vault,
        "key": record.target.key,
        "recovery_vault": record.target.recovery_vault,
        "last_success_at": record.last_success_at,
        "verdict": None if verdict is None else {"ready": verdict.ready, "why": verdict.why, "at": record.verdict_at},
        "state": None if record.state is None else _state_document(record, record.state),
        "key_facts": None if record.key is None else _key_document(record.key),
        "headers": {name: getattr(record.vault, name) for name in _HEADERS},
        "tenant": record.tenant,
        **{name: getattr(record, name) for name in _KEY_FACTS},
        "certificates": {
            endpoint: {"not_after": shown.not_after, "issuer": shown.issuer} for endpoint, shown in record.certificates.items()
        },
        "failures": [{name: getattr(failure, name) for name in _SUMMARY} for failure in record.last_failures],
        "changes": [{name: getattr(change, name) for name in _CHANGE} for change in record.changes],
    }


def restore(record: TargetRecord, document: Mapping[str, Any]) -> None:
    """Restore facts about the same vault and key into a record without a probe. Raises DamagedError, and then changes nothing."""
    try:
        verdict = _verdict(document["verdict"])
        state = _state(document["state"])
        is_first_seen = _truth((document["state"] or {}).get("first_seen", False))
        key = None if document["key_facts"] is None else _key(document["key_facts"])
        headers = VaultHeaders(**{name: _text_or_none(document["headers"][name]) for name in _HEADERS})
        failures = tuple(_failure(each) for each in document["failures"])
        changes = tuple(_change(each) for each in document["changes"])
        newest_version = _text_or_none(document["newest_version"])
        proof_at, purge_at = _time_or_none(document["proof_at"]), _time_or_none(document["purge_at"])
        key_unwrapped_at = _time_or_none(document["key_unwrapped_at"])
        last_success_at, tenant = _time_or_none(document["last_success_at"]), _text_or_none(document["tenant"])
        certificates = {_text(endpoint): _certificate(shown) for endpoint, shown in document["certificates"].items()}
        same_vault = document["vault"] == record.target.vault
        same_key = same_vault and document["key"] == record.target.key
        same_recovery = same_key and _text_or_none(document["recovery_vault"]) == record.target.recovery_vault
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedError(f"is damaged ({type(error).__name__})") from None
    if same_vault:
        record.last_success_at, record.vault, record.tenant = last_success_at, headers, tenant
        record.region = headers.region
        record.last_failures, record.changes = failures[-SUMMARIES:], changes[-MAX_CHANGES:]
        record.certificates.update(certificates)
    if same_key:
        record.key, record.key_unwrapped_at = key, key_unwrapped_at
        record.newest_version, record.purge_at = newest_version, purge_at
        record.verdict, record.verdict_at = verdict
        record.state, record.state_since, record.recent, record.recent_failures = state
        record.is_first_seen = is_first_seen
    if same_recovery:
        record.proof_at = proof_at


_YEAR_10000 = 253402300800
_HEADERS = ("region", "service_version", "connection")
_KEY_FACTS = ("newest_version", "proof_at", "purge_at", "key_unwrapped_at")
_CHANGE = ("at", "what", "before", "after", "subject", "failure")
_SUMMARY = ("at", "step", "code", "reason", "http_status", "request_id")


def _key_document(key: KeyFacts) -> dict[str, Any]:
    return {
        "name": key.name,
        "version": key.version,
        "kid": key.kid,
        "kty": key.kty,
        "size_bits": key.size_bits,
        "modulus": base64.b64encode(key.modulus).decode("ascii"),
        "exponent": base64.b64encode(key.exponent).decode("ascii"),
        "enabled": key.enabled,
        "not_before": key.not_before,
        "expires": key.expires,
        "key_ops": list(key.key_ops),
    }


def _key(document: Mapping[str, Any]) -> KeyFacts:
    return KeyFacts(
        name=_text(document["name"]),
        version=_text(document["version"]),
        kid=_text(document["kid"]),
        kty=_text(document["kty"]),
        size_bits=_number(document["size_bits"]),
        modulus=base64.b64decode(_text(document["modulus"]), validate=True),
        exponent=base64.b64decode(_text(document["exponent"]), validate=True),
        enabled=_truth_or_none(document["enabled"]),
        not_before=_time_or_none(document["not_before"]),
        expires=_time_or_none(document["expires"]),
        key_ops=tuple(_text(each) for each in document["key_ops"]),
    )


def _certificate(document: Mapping[str, Any]) -> PeerCertificate:
    return PeerCertificate(not_after=_time(document["not_after"]), issuer=_text(document["issuer"]))


def _verdict(document: Mapping[str, Any] | None) -> tuple[Readiness | None, float | None]:
    if document is None:
        return None, None
    why = _text(document["why"])
    if why not in WHY:
        raise ValueError("no such verdict")
    return Readiness(ready=_truth_or_none(document["ready"]), why=why), _time_or_none(document["at"])


def _state_document(record: TargetRecord, state: State) -> dict[str, Any]:
    failures = [list(each) for each in record.recent_failures]
    since = {"since": record.state_since, "first_seen": record.is_first_seen}
    return {"name": state, **since, "recent": record.recent, "failures": failures}


def _state(document: Mapping[str, Any] | None) -> tuple[State | None, float | None, str, tuple[FailedProbe, ...]]:
    if document is None:
        return None, None, "", ()
    recent = _text(document["recent"])
    if not set(recent) <= set(LETTERS.values()):
        raise ValueError("no such states")
    failures = tuple(_failed_probe(*each) for each in document["failures"])
    if len(recent) > RECENT or len(failures) != failed_among(recent):
        raise ValueError("not the failures of these states")
    return State(_text(document["name"])), _time_or_none(document["since"]), recent, failures


def _failed_probe(step: object, code: object, reason: object) -> FailedProbe:
    return FailedProbe(
        None if step is None else Step(_text(step)),
        None if code is None else _code(code),
        None if reason is None else Reason(_text(reason)),
    )


def _failure(document: Mapping[str, Any]) -> FailureSummary:
    return FailureSummary(
        at=_time(document["at"]),
        step=_text(document["step"]),
        code=None if document["code"] is None else _code(document["code"]),
        reason=_text_or_none(document["reason"]),
        http_status=None if document["http_status"] is None else _number(document["http_status"]),
        request_id=_text_or_none(document["request_id"]),
    )


def _change(document: Mapping[str, Any]) -> ObservedChange:
    return ObservedChange(
        at=_time(document["at"]),
        what=ChangeKind(_text(document["what"])),
        before=_text(document["before"]),
        after=_text(document["after"]),
        subject=_text(document["subject"]),
        failure=_failed_probe(*document.get("failure", NO_FAILURE)),  # a version before this field has kept none
    )


def _code(value: object) -> int:
    """A code that pages can explain. Another version of the exporter may have kept one that this version does not know."""
    if _number(value) not in BY_CODE:
        raise ValueError("no such code")
    return _number(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()  # a lone surrogate cannot be printed
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("not a whole number")
    return value


def _time(value: object) -> float:
    """A Unix time that can be written as a date: pages and JSON do."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < _YEAR_10000:
        raise TypeError("not a time")
    return float(value)


def _time_or_none(value: object) -> float | None:
    return None if value is None else _time(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not a truth value")
    return value


def _truth_or_none(value: object) -> bool | None:
    return None if value is None else _truth(value)
