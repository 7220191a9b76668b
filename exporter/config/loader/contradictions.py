"""Report settings that contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.config.loader.build_targets import RawTarget, retained_vault
from exporter.config.yaml import Location, Section
from exporter.core.key_reference import KeyReference

# Keys of a target that name a credential, and its role.
_PROBING = {
    "credential": "the credential",
    "next_credential": "the staged credential",
    "recovery_credential": "the recovery credential",
}


def check_target(raw: RawTarget) -> None:
    """Report contradictions within a target, at the key to change."""
    _check_key_uri(raw)
    if raw.own.is_set("next_credential") and _same(raw, "next_credential", "credential"):
        raw.location_of("next_credential").error("is the same as credential: name its successor, or remove it")
    if _same(raw, "recovery_vault", "vault"):
        raw.location_of("recovery_vault").error("is the target's own vault: name the vault that holds the restored key")
    if raw.own.is_set("modules"):
        _each_once(raw.own.get("modules") or [], raw.own.location_of("modules"))
    first: dict[tuple[str, str | None, str], Section] = {}
    for section in raw.get("retained_versions") or ():
        key: KeyReference | None = section.get("key")
        vault = retained_vault(section, raw)
        if key is None or vault is None:
            continue
        _same_vault(key, section.location_of("key"), section)
        other = first.setdefault((key.name.lower(), (key.version or "").lower(), vault), section)
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


def _check_key_uri(raw: RawTarget) -> None:
    """Report a KeyUri and a `vault` that name different vaults.

    A target's own KeyUri replaces the `vault` of target_defaults.
    """
    inherited_vault = not raw.own.is_set("vault")
    key: KeyReference | None = raw.own.get("key")
    if key is None and raw.defaults is not None and not raw.own.is_set("key"):
        key = raw.defaults.get("key")
        inherited_vault = False
    if key is None or inherited_vault:
        return
    _same_vault(key, raw.location_of("key"), raw.own if raw.own.is_set("vault") else raw.defaults or raw.own)


def _same_vault(key: KeyReference, location: Location, section: Section) -> None:
    vault = section.get("vault")
    if key.contradicts(vault):
        line = section.location_of("vault").line
        location.error(f"names the vault {key.vault}, but vault in line {line} is {vault}: correct one, or remove vault")


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
