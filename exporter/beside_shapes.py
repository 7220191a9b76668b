"""What is known of a target besides its probes, as the JSON that programs read.

For: what `probe --json` and `/api/v1/targets/NAME` carry beyond the shape of a probe. Unknown is None, times are RFC 3339 in UTC.
Not for: probes and rows of the list (see `shapes`), words (see `beside_words`), deciding anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from exporter.beside_words import Record, looks_of
from exporter.config.model import ExpectPath, Target
from exporter.core.auxiliary import Look
from exporter.core.checks import BY_NAME
from exporter.core.checks.model import Run
from exporter.core.credential_expiry import CredentialEnd
from exporter.core.model import KeyFacts, Readiness, Vantage, VaultHeaders
from exporter.core.readiness import NOT_TESTED, in_words
from exporter.shapes import Shape, failure_shape, moment_or_none, step_shape


def verdict_shape(readiness: Readiness, vantage: Vantage) -> Shape:
    """The verdict as people read it, and what it does not speak of."""
    return {"vantage": vantage.value, "verdict": in_words(readiness, vantage), "not_tested": NOT_TESTED}


def besides(target: Target, record: Record | None, ends: Iterable[CredentialEnd], expected: ExpectPath, *, now: float) -> Shape:
    """Everything known of a target that is not of its probes; `now` is a Unix time."""
    looks = () if record is None else looks_of(target, record, now=now)
    vault = VaultHeaders() if record is None else record.vault
    return {
        "beside": [_look(look) for _, look in looks if look is not None],
        "key_facts": None if record is None or record.key is None else _key(record.key),
        "rotation_pending": None if record is None else record.rotation_pending,
        "newest_version": None if record is None else record.newest_version,
        "scheduled_purge": moment_or_none(None if record is None else record.purge_at),
        "recovery_last_proof": moment_or_none(None if record is None else record.proof_at),
        "path": _path(vault, expected),
        "credential_expiries": [_end(end) for end in ends],
    }


def checks_shape(run: Run | None) -> Shape | None:
    """The last run of the doctor's checks: when, and what failed. `fix` is one text of several lines, as of `doctor --json`."""
    if run is None:
        return None
    failed = [
        {
            "check": result.check,
            "title": BY_NAME[result.check].title,
            "code": result.code,
            "detail": result.detail,
            "fix": "\n".join(result.fix) or None,
        }
        for result in run.failed
    ]
    return {"at": moment_or_none(run.at), "failed": failed}


def _look(look: Look) -> Shape:
    return {
        "what": look.what.value,
        "name": look.name,
        "vault": look.vault,
        "credential": look.credential,
        "at": moment_or_none(look.at),
        "usable": look.usable,
        **failure_shape(look.failure),
        "key_version": None if look.key is None else look.key.version,
        "steps": [step_shape(result) for result in look.steps],
    }


def _key(key: KeyFacts) -> Shape:
    return {
        "name": key.name,
        "version": key.version,
        "kty": key.kty,
        "size_bits": key.size_bits,
        "enabled": key.enabled,
        "not_before": moment_or_none(key.not_before),
        "expires": moment_or_none(key.expires),
        "key_ops": list(key.key_ops),
        "supported": key.supported,
    }


def _path(vault: VaultHeaders, expected: ExpectPath) -> Shape:
    return {
        "region": vault.region,
        "service_version": vault.service_version,
        "connection": vault.connection,
        "expected": None if expected is ExpectPath.ANY else expected.value,
        "as_expected": expected.met_by(vault.connection),
    }


def _end(end: CredentialEnd) -> Shape:
    return {
        "credential": end.credential,
        "source": end.source.value,
        "expires_at": moment_or_none(end.expires_at),
        "looked_up_at": moment_or_none(end.looked_up_at),
        "failure": end.failure or None,
    }
