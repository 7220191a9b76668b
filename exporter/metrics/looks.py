"""From the looks beside a target's probe to the values of their gauges.

For: the staged credential, retained versions, recovery and rotation, one pure function each.
Not for: what the probe itself showed (see `gauges`), keeping looks (see `state`), rendering.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from exporter.beside import declared
from exporter.config.model import Target
from exporter.core.beside import Beside, Look
from exporter.core.model import ProbeReport
from exporter.metrics.gauges import Values, current_credential
from exporter.metrics.lines import Sample


class Standing(Protocol):
    """What is remembered of a target. Unix times; None where nothing is known."""

    @property
    def last(self) -> ProbeReport | None: ...

    @property
    def proof_at(self) -> float | None: ...

    @property
    def rotation_pending(self) -> bool | None: ...

    @property
    def looks(self) -> Mapping[tuple[Beside, str, str], Look]: ...


def of_looks(target: Target, standing: Standing) -> Values:
    """Of what the configuration does not name any more, nothing is shown."""
    current = [] if standing.last is None else current_credential(target, standing.last)
    recovers = target.recovery_vault is not None
    return {
        "ekm_credential_usable": [*current, *_staged(target, standing)],
        "ekm_key_rotation_pending": _maybe(standing.rotation_pending),
        "ekm_retained_version_usable": _retained(target, standing),
        "ekm_recovery_usable": _recovery(target, standing),
        "ekm_recovery_last_proof_timestamp_seconds": _maybe(standing.proof_at if recovers else None),
    }


def _staged(target: Target, standing: Standing) -> list[Sample]:
    return [
        ((("credential", look.credential), ("role", "next")), float(usable))
        for look, usable in _said(target, standing, Beside.NEXT)
    ]


def _retained(target: Target, standing: Standing) -> list[Sample]:
    """One series for each key version, also where it is kept in two vaults: one that fails is one too many."""
    found: dict[str, bool] = {}
    for look, usable in _said(target, standing, Beside.RETAINED):
        found[look.name] = found.get(look.name, True) and usable
    parts = {name: name.rpartition("/") for name in found}
    return [((("key", parts[name][0]), ("version", parts[name][2])), float(usable)) for name, usable in found.items()]


def _recovery(target: Target, standing: Standing) -> list[Sample]:
    return [((), float(usable)) for _, usable in _said(target, standing, Beside.RECOVERY)]


def _said(target: Target, standing: Standing, what: Beside) -> Iterator[tuple[Look, bool]]:
    """The looks of a kind that came to a yes or a no."""
    for look in standing.looks.values():
        if look.what is what and look.usable is not None:
            now = look.at if standing.last is None else max(look.at, standing.last.started_at)
            if look.identity in declared(target, datetime.fromtimestamp(now, UTC).date()):
                yield look, look.usable


def _maybe(value: float | None) -> list[Sample]:
    return [] if value is None else [((), float(value))]
