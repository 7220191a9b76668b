"""Warnings about targets without a verdict and auxiliary probes that prove little.

`NO_VERDICT` has a row for each reason of `core.readiness.WHY` that a configuration can cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from exporter.config.settings import Config, Target
from exporter.core.model import CredentialKind, Mode, Vantage

_Lines = Iterator[tuple[str, str]]  # key of the target's section, message

_RUN_ON_HOST = "run the exporter on the SQL Server's host with vantage: sql_host"
_UNWRAPPING = ("next_credential", "retained_versions", "recovery_vault")


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """A reason for a missing verdict: its targets, the key to warn at, a message."""

    applies: Callable[[Target, Config], bool]
    key: str
    message: str


def _mode(target: Target, config: Config) -> Mode:
    return config.modules[target.module].mode


def _central(config: Config) -> bool:
    return config.settings.vantage is Vantage.CENTRAL


def _elsewhere(target: Target, config: Config) -> bool:
    managed = config.credentials[target.credential].kind.is_managed
    return managed and _central(config) and _mode(target, config) is not Mode.CANARY


# By `why` of the verdict.
NO_VERDICT: Mapping[str, NoVerdict] = {
    "version_not_pinned": NoVerdict(
        lambda target, config: target.key_version is None and _mode(target, config) is not Mode.CANARY,
        "key",
        "no version, so no verdict: write NAME/VERSION or the KeyUri "
        "(in the registry of the SQL Server host, below the thumbprint in sys.dm_database_encryption_keys)",
    ),
    "identity_of_another_host": NoVerdict(
        _elsewhere,
        "credential",
        f"a managed identity belongs to its host, so there is no verdict from another host: {_RUN_ON_HOST}",
    ),
    "read_only": NoVerdict(
        lambda target, config: target.key_version is not None and _mode(target, config) is Mode.READ_ONLY,
        "module",
        "mode read_only never unwraps, so the verdict can be not ready or unknown, never ready: use mode full",
    ),
    "canary": NoVerdict(
        lambda target, config: _mode(target, config) is Mode.CANARY,
        "module",
        "mode canary never gives a verdict, because its identity and key are not SQL Server's: probe those with mode full",
    ),
}


def no_verdict(target: Target, config: Config, _: date) -> _Lines:
    """Yield every reason why the target never gets a verdict, or never a good one."""
    for reason in NO_VERDICT.values():
        if reason.applies(target, config):
            yield reason.key, reason.message


def weak_proof(target: Target, config: Config, _: date) -> _Lines:
    """Yield the settings that prove less than they seem to, mostly auxiliary probes."""
    mode = _mode(target, config)
    for key in _UNWRAPPING:
        if getattr(target, key) and mode is Mode.READ_ONLY:
            yield key, "mode read_only never unwraps, so this can fail but never prove anything: use mode full"
        elif getattr(target, key) and mode is Mode.CANARY and key != "next_credential":
            yield (
                key,
                "the key of mode canary is not SQL Server's, so this proves nothing about its backups: move it to a target in mode full",
            )
    staged = config.credentials.get(target.next_credential or "")
    if staged is not None and staged.kind.is_managed and _central(config):
        yield (
            "next_credential",
            f"a managed identity belongs to its host, so no other host can test it: {_RUN_ON_HOST}",
        )
    if config.credentials[target.credential].kind is CredentialKind.DEFAULT and _central(config) and mode is not Mode.CANARY:
        yield (
            "credential",
            "type default can use the identity of this host: write a type that names SQL Server's identity",
        )
    if target.recovery_vault is not None and target.key_version is None:
        yield (
            "recovery_vault",
            "the key has no version, so only its newest version is tested in the recovery vault: write NAME/VERSION",
        )
    for retained in target.retained_versions:
        key = f"{retained.key_name}/{retained.key_version}"
        if (retained.vault, key.lower(), retained.credential) == (target.vault, target.key.lower(), target.credential):
            yield (
                "retained_versions",
                f"{key} is the key that the probe already tests: remove this entry",
            )
