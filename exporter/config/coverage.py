"""What a configuration leaves unproven: no verdict, half of one, a look beside the probe that can say less than it seems to.

For: warnings that say so and how to get an answer; one row for each reason of `core.readiness.WHY` that a configuration can cause.
Not for: other advice (see `warnings`), or what a probe found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from exporter.config.model import Config, CredentialKind, Retained, Target
from exporter.core.model import Mode, Vantage

_Lines = Iterator[tuple[str, str]]  # key of the target's section, what to say there

_ON_THE_HOST = "run on the SQL Server's host with vantage: sql_host"
_BESIDE = ("next_credential", "retained_versions", "recovery_vault")


@dataclass(frozen=True, slots=True)
class NoVerdict:
    """Whether it applies to a target, at which key of it that is said, and the words: what is missing and how to get it."""

    applies: Callable[[Target, Config], bool]
    key: str
    says: str


def _mode(target: Target, config: Config) -> Mode:
    return config.modules[target.module].mode


def _central(config: Config) -> bool:
    return config.settings.vantage is Vantage.CENTRAL


def _not_pinned(target: Target, config: Config) -> bool:
    return target.key_version is None and _mode(target, config) is not Mode.CANARY


def _elsewhere(target: Target, config: Config) -> bool:
    managed = config.credentials[target.credential].kind is CredentialKind.MANAGED_IDENTITY
    return managed and _central(config) and _mode(target, config) is not Mode.CANARY


# By `why` of the verdict.
NO_VERDICT: Mapping[str, NoVerdict] = {
    "version_not_pinned": NoVerdict(
        _not_pinned,
        "key",
        "no version, so no verdict whether SQL Server could open its databases: write NAME/VERSION "
        "(sys.dm_database_encryption_keys, or KeyUri in the registry of the SQL Server host, shows it)",
    ),
    "identity_of_another_host": NoVerdict(
        _elsewhere,
        "credential",
        f"a managed identity belongs to its host, so there is no verdict from elsewhere: {_ON_THE_HOST}",
    ),
    "read_only": NoVerdict(
        lambda target, config: target.key_version is not None and _mode(target, config) is Mode.READ_ONLY,
        "module",
        "mode read_only never unwraps, so the verdict can be no or unknown, never yes: mode full can say yes",
    ),
    "canary": NoVerdict(
        lambda target, config: _mode(target, config) is Mode.CANARY,
        "module",
        "mode canary never gives a verdict: its identity and key are not SQL Server's; probe those in mode full to get one",
    ),
}


def no_verdict(target: Target, config: Config, _: date) -> _Lines:
    """Every reason at once, not only the one that would be shown."""
    for reason in NO_VERDICT.values():
        if reason.applies(target, config):
            yield reason.key, reason.says


def beside(target: Target, config: Config, _: date) -> _Lines:
    """What is looked at beside the main probe and can say less than it seems to."""
    mode = _mode(target, config)
    for key in _BESIDE:
        if getattr(target, key) and mode is Mode.READ_ONLY:
            yield key, "mode read_only unwraps nothing, so this can only say no, never yes: mode full proves it"
        elif getattr(target, key) and mode is Mode.CANARY and key != "next_credential":
            yield key, "the key of mode canary is not SQL Server's, so this proves nothing of SQL Server's backups"
    staged = config.credentials.get(target.next_credential or "")
    if staged is not None and staged.kind is CredentialKind.MANAGED_IDENTITY and _central(config):
        yield (
            "next_credential",
            f"a managed identity belongs to its host, so nothing is said of it from elsewhere: {_ON_THE_HOST}",
        )
    if config.credentials[target.credential].kind is CredentialKind.DEFAULT and _central(config) and mode is not Mode.CANARY:
        yield (
            "credential",
            "type default takes this host's own identity where it finds no other: write a type that names SQL Server's",
        )
    if target.recovery_vault is not None and target.key_version is None:
        yield "recovery_vault", "the key is not pinned, so only the version that is the newest in the target's vault is proven"
    for retained in target.retained_versions:
        if _is_main_probe(target, retained):
            yield "retained_versions", f"{retained.key_name}/{retained.key_version} is what the probe itself tests: take it out"


def _is_main_probe(target: Target, retained: Retained) -> bool:
    key = f"{retained.key_name}/{retained.key_version}"
    return (retained.vault, key.lower(), retained.credential) == (target.vault, target.key.lower(), target.credential)
