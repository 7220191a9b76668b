"""Report settings that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.config.build_targets import RawTarget
from exporter.config.fields import Section
from exporter.config.problems import Location

# Keys of a target that name a credential, and its role.
_PROBING = {
    "credential": "the credential",
    "next_credential": "the staged credential",
    "recovery_credential": "the recovery credential",
}


def check_target(raw: RawTarget) -> None:
    """Report contradictions within a target, at the key to change."""
    if raw.own.is_set("next_credential") and _same(raw, "next_credential", "credential"):
        raw.location_of("next_credential").error("is the same as credential: name its successor, or remove it")
    if _same(raw, "recovery_vault", "vault"):
        raw.location_of("recovery_vault").error("is the target's own vault: name the vault that holds the restored key")
    if raw.own.is_set("modules"):
        _each_once(raw.own.get("modules") or [], raw.own.location_of("modules"))
    first: dict[tuple[str, str | None, str], Section] = {}
    for section in raw.get("retained_versions") or ():
        vault = section.get("vault") or raw.get("vault")
        if section.get("key") is None or vault is None:
            continue
        name, version = section.get("key")
        other = first.setdefault((name.lower(), (version or "").lower(), vault), section)
        if other is not section:
            section.location.error(f"the same key version in the same vault as {other.location.path}: remove one")


def check_lookup_credentials(credentials: Mapping[str, Section | None], targets: Mapping[str, RawTarget]) -> None:
    """Report credentials for expiry lookups that can do more than look up."""
    users = dict(_users(targets))
    for name, section in credentials.items():
        if section is None:
            continue
        graph = section.get("graph_credential")
        if graph == name:
            section.location_of("graph_credential").error("a credential cannot look up its own expiry: name another one")
        elif graph in users:
            problem = f"is {users[graph]}: use a separate identity for Graph that cannot read keys"
            section.location_of("graph_credential").error(problem)
        if section.is_set("key_vault_credential") and not section.is_set("key_vault_secret"):
            section.location_of("key_vault_credential").error("has no effect: write key_vault_secret, or remove it")


def _each_once(names: list[str], location: Location) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            location.item(index).error("listed twice: remove one")


def _same(raw: RawTarget, one: str, other: str) -> bool:
    return raw.get(one) is not None and raw.get(one) == raw.get(other)


def _users(targets: Mapping[str, RawTarget]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a credential and its role for a target.

    The first target comes last, because the last pair wins.
    """
    for target, raw in reversed(list(targets.items())):
        for section in raw.get("retained_versions") or ():
            if section.get("credential") is not None:
                yield section.get("credential"), f"the credential of a retained key of {target}"
        for field, role in _PROBING.items():
            if raw.get(field) is not None:
                yield raw.get(field), f"{role} of {target}"
