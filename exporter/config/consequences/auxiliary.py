"""The auxiliary probes of a target."""

from __future__ import annotations

from datetime import date

from exporter.config.settings.model import Retained, Target
from exporter.core.auxiliary import AuxiliaryKind, Identity


def configured_auxiliary(target: Target, today: date) -> tuple[Identity, ...]:
    """Return the identities of a target's auxiliary probes.

    Results of other identities are obsolete.
    """
    found: list[Identity] = []
    if target.next_credential is not None:
        found.append((AuxiliaryKind.NEXT, target.next_credential, target.vault))
    found += [
        (AuxiliaryKind.RETAINED, f"{old.key_name}/{old.key_version}", old.vault)
        for old in target.retained_versions
        if is_needed(old, today)
    ]
    if target.key_version is not None:
        found.append((AuxiliaryKind.NEWEST, target.key_name, target.vault))
    if target.recovery_vault is not None:
        found.append((AuxiliaryKind.RECOVERY, target.recovery_vault, target.recovery_vault))
    return tuple(found)


def is_needed(old: Retained, today: date) -> bool:
    """Whether backups still need this key version on this day."""
    return old.key_version is not None and (old.until is None or old.until >= today)
