"""The dashboard of dates: everything that expires, by days left, and what must be ready before it does.

For: credentials, certificates, keys, rotation, retained versions, staged credentials, recovery.
Not for: what fails today (see `fleet`, `vault`).
"""

from __future__ import annotations

from typing import Final

from grafana_foundation_sdk.builders import dashboard as building
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.builders.common import TableSortByFieldState

from dashboards import frame, panels, promql, sheets
from dashboards.panels import Number, rows
from dashboards.promql import label, series
from dashboards.sheets import column, mapped
from dashboards.words import BAD, GOOD, OKAY, WARNING

TITLE: Final = "EKM / Expiry and keys"
DESCRIPTION: Final = "Expiry of client secrets, certificates, keys and TLS certificates, and their staged replacements."
_DAY: Final = 86400

_CHOSEN: Final = 'credential=~"$credential"'
_CREDENTIALS: Final = f"min by (credential, source) ({series('ekm_credential_expiry_timestamp_seconds', _CHOSEN)})"
_KEYS: Final = f"min by (target) ({series('ekm_key_expiry_timestamp_seconds')})"
_PURGES: Final = f"min by (target) ({series('ekm_key_scheduled_purge_timestamp_seconds')})"
_TLS: Final = f"min by (endpoint) ({series('ekm_tls_certificate_expiry_timestamp_seconds')})"


def _named(expression: str, what: str, name: str, source: str) -> str:
    """One kind of thing that expires, as `what`, `name` and `source`; Unix times."""
    labelled = f'label_replace({expression}, "name", "$1", "{name}", "(.*)")'
    labelled = label(labelled, "what", what)
    return f"max by (what, name, source) ({labelled if source == 'source' else label(labelled, 'source', source)})"


_KINDS: Final = (
    _named(_CREDENTIALS, "credential", "credential", "source"),
    _named(_KEYS, "key", "target", "vault"),
    _named(_PURGES, "purge of a deleted key", "target", "vault"),
    _named(_TLS, "TLS certificate", "endpoint", "handshake"),
)
_EXPIRIES: Final = f"({' or '.join(_KINDS)})"
_EACH_CREDENTIAL: Final = f"max by (credential) ({promql.credential_expiry(_CHOSEN)})"


def _within(days: int, color: str) -> Number:
    return Number(
        f"Expire within {days} days",
        f"Credentials and keys that expire within {days} days, or have expired. A credential counts once; a date that was looked up takes "
        "precedence over a declared one.",
        f"count(({_EACH_CREDENTIAL} or {_named(_KEYS, 'key', 'target', 'vault')}) - time() < {days * _DAY}) or {promql.NONE}",
        levels=((1, color),),
        start=GOOD,
    )


NUMBERS: Final = (
    _within(7, BAD),
    _within(14, WARNING),
    _within(30, WARNING),
    Number(
        "Expiry unknown",
        "Credentials with an expiring secret and no known expiry date.",
        f"count(max by (credential) ({series('ekm_credential_expiry_known', _CHOSEN)}) == 0) or {promql.NONE}",
        levels=panels.ANY_IS_WARNING,
        start=GOOD,
    ),
    Number(
        "Rotation pending",
        "Targets whose key has a newer version in the vault than the one SQL Server uses.",
        f"count(max by (target) ({series('ekm_key_rotation_pending')}) == 1) or {promql.NONE}",
        levels=panels.ANY_IS_WARNING,
        start=GOOD,
    ),
    Number(
        "Retained unusable",
        "Retained key versions, which old backups need, that did not unwrap.",
        f"count(min by (target, key, version) ({series('ekm_retained_version_usable')}) == 0) or {promql.NONE}",
        levels=panels.ANY_IS_BAD,
        start=GOOD,
    ),
)


def _calendar() -> table.Panel:
    panel = sheets.sheet(
        "Expiry dates",
        "Sorted by days left. Source of the date: declared in the configuration, a certificate, Microsoft Graph, a "
        "Key Vault secret, the vault, or the TLS handshake.",
        rows(f"({_EXPIRIES} - time()) / {_DAY}", "A"),
        rows(f"{_EXPIRIES} * 1000", "B"),
        size=(24, 11),
        empty="No date is known.",
    )
    panel.with_transformation(sheets.transformation("merge", {}))
    names = {"what": "What", "name": "Name", "source": "Source", "Value #A": "Days left", "Value #B": "Expires"}
    sheets.columns(panel, names)
    column(panel, "What", width=190)
    column(panel, "Source", width=160)
    column(panel, "Days left", *sheets.DAYS, sheets.FILLED, width=130)
    column(panel, "Expires", ("unit", "dateTimeAsIso"), width=210)
    return panel.sort_by([TableSortByFieldState().display_name("Days left")])


def _credentials() -> list[panels.Panel]:
    usable = f"min by (target, credential, role) ({series('ekm_credential_usable', _CHOSEN)})"
    staged = sheets.sheet(
        "Current and staged credentials",
        "Whether each was accepted; the staged one by the whole round trip. Before the current one expires, a staged one must be ok here. "
        "A credential with an unknown state has no line.",
        rows(usable),
        size=(16, 9),
        empty="no answer yet",
    )
    sheets.columns(staged, {"target": "Target", "credential": "Credential", "role": "Role", "Value": "Accepted"})
    column(staged, "Target", frame.to_vault("Target"))
    column(staged, "Role", width=90)
    column(staged, "Accepted", mapped(OKAY), sheets.FILLED, width=100)
    staged.sort_by([TableSortByFieldState().display_name("Accepted")])
    unknown = sheets.sheet(
        "Credentials without an expiry date",
        "Credentials with an expiring secret and no known expiry date: declare expires_on, or configure a lookup with Graph.",
        rows(f"max by (credential) ({series('ekm_credential_expiry_known', _CHOSEN)}) == 0"),
        size=(8, 9),
        empty="Every date is known.",
    )
    return [staged, sheets.columns(unknown, {"credential": "Credential"})]


def _keys() -> list[panels.Panel]:
    key = promql.one_of("ekm_key_info", "key, version, kty, size_bits")
    pending = sheets.sheet(
        "Keys with a newer version",
        "The version in use of each key that has a newer one. SQL Server uses the pinned version until the key is rotated there.",
        rows(f"(max by (target) ({series('ekm_key_rotation_pending')}) == 1) * on (target) group_left (key, version) {key}"),
        size=(12, 8),
        empty="Every target uses the newest version.",
    )
    sheets.columns(pending, {"target": "Target", "key": "Key", "version": "Version in use"})
    column(pending, "Target", frame.to_vault("Target"))
    column(pending, "Version in use", width=300)
    retained = sheets.sheet(
        "Retained versions",
        "Whether each key version that old backups need still unwraps. A version with an unknown state has no line.",
        rows(f"min by (target, key, version) ({series('ekm_retained_version_usable')})"),
        size=(12, 8),
        empty="none configured",
    )
    sheets.columns(retained, {"target": "Target", "key": "Key", "version": "Version", "Value": "Usable"})
    column(retained, "Target", frame.to_vault("Target"))
    column(retained, "Version", width=300)
    column(retained, "Usable", mapped(OKAY), sheets.FILLED, width=90)
    return [pending, retained.sort_by([TableSortByFieldState().display_name("Usable")])]


def _recovery() -> list[panels.Panel]:
    panel = sheets.sheet(
        "Recovery and backup",
        "Whether the recovery vault unwraps with the restored key, the time since it last succeeded, and since the declared backup of the "
        "key. Empty: not configured, or no result yet.",
        rows(f"min by (target) ({series('ekm_recovery_usable')})", "A"),
        rows(f"time() - max by (target) ({series('ekm_recovery_last_success_timestamp_seconds')})", "B"),
        rows(f"time() - max by (target) ({series('ekm_key_backup_timestamp_seconds')})", "C"),
        rows(f"min by (target) ({series('ekm_key_enabled')})", "D"),
        rows(f"min by (target) ({series('ekm_key_supported')})", "E"),
        rows(promql.KNOWN, "F"),
        size=(24, 9),
        empty="not known",
    )
    names = {
        "target": "Target",
        "Value #A": "Recovery",
        "Value #B": "Last success",
        "Value #C": "Last backup",
        "Value #D": "Key enabled",
        "Value #E": "Key supported",
    }
    sheets.columns(panel, names, by="target")
    column(panel, "Target", frame.to_vault("Target"))
    for name in ("Recovery", "Key enabled", "Key supported"):
        column(panel, name, mapped(OKAY), sheets.COLORED)
    column(panel, "Last success", ("unit", "s"), sheets.levels((_DAY, WARNING), start=GOOD), sheets.COLORED)
    column(panel, "Last backup", ("unit", "s"), sheets.levels((365 * _DAY, WARNING), start=GOOD), sheets.COLORED)
    return [panel.sort_by([TableSortByFieldState().display_name("Target")])]


def dashboard() -> building.Dashboard:
    rows_of_panels: list[frame.Row] = [
        ("", panels.numbers(*NUMBERS)),
        ("", [_calendar()]),
        ("Credentials", _credentials()),
        ("Keys", _keys()),
        ("Recovery", _recovery()),
    ]
    return frame.framed(frame.EXPIRY, TITLE, DESCRIPTION, frame.variables(credentials=True), rows_of_panels)
