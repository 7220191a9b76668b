"""From the looks beside a target's probe to the values of their gauges.

For: the staged credential, retained versions, recovery and rotation, one pure function each.
Not for: what the probe itself showed (see `samples`), keeping looks (see `state.records.records`), rendering.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from exporter.config.auxiliary import configured_auxiliary
from exporter.config.model import Target
from exporter.core.auxiliary import AuxiliaryKind, AuxiliaryResult
from exporter.core.model import ProbeReport
from exporter.metrics.record_view import Standing
from exporter.metrics.samples import Values, current_credential
from exporter.metrics.text_format import Sample


def auxiliary_samples(target: Target, standing: Standing | None, report: ProbeReport | None) -> Values:
    """Of what the configuration does not name any more, nothing is shown. `report` is of the target's last probe."""
    current = [] if report is None else current_credential(target, report)
    if standing is None:
        return {"ekm_credential_usable": current}
    said = list(_said(target, standing, report))
    recovers = target.recovery_vault is not None
    return {
        "ekm_credential_usable": [*current, *_staged(said)],
        "ekm_key_rotation_pending": _maybe(standing.rotation_pending),
        "ekm_retained_version_usable": _retained(said),
        "ekm_recovery_usable": [((), float(usable)) for look, usable in said if look.what is AuxiliaryKind.RECOVERY],
        "ekm_recovery_last_success_timestamp_seconds": _maybe(standing.proof_at if recovers else None),
    }


def _said(target: Target, standing: Standing, report: ProbeReport | None) -> Iterator[tuple[AuxiliaryResult, bool]]:
    """The looks that came to a yes or a no."""
    for look in standing.looks.values():
        now = look.at if report is None else max(look.at, report.started_at)
        if look.usable is not None and look.identity in configured_auxiliary(target, datetime.fromtimestamp(now, UTC).date()):
            yield look, look.usable


def _staged(said: Iterable[tuple[AuxiliaryResult, bool]]) -> list[Sample]:
    return [
        ((("credential", look.credential), ("role", "next")), float(usable))
        for look, usable in said
        if look.what is AuxiliaryKind.NEXT
    ]


def _retained(said: Iterable[tuple[AuxiliaryResult, bool]]) -> list[Sample]:
    """One series for each key version, also where it is kept in two vaults: one that fails is one too many."""
    found: dict[str, bool] = {}
    for look, usable in said:
        if look.what is AuxiliaryKind.RETAINED:
            found[look.name] = found.get(look.name, True) and usable
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]


def _maybe(value: float | None) -> list[Sample]:
    return [] if value is None else [((), float(value))]
