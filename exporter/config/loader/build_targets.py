"""Build targets and `global` from their sections, with defaults and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from exporter.config.loader.defaults import SectionWithDefaults
from exporter.config.settings import DEFAULT_MODULE, Retained, Settings, Target
from exporter.config.settings.metadata import plain_values
from exporter.config.settings.schema import RETAINED, TARGET
from exporter.config.yaml import Location, Section, require
from exporter.core import durations
from exporter.core.key_reference import KeyReference


def vault_of(section: Section) -> str | None:
    """Return the vault in the section's KeyUri; None if `key` is no KeyUri."""
    reference: KeyReference | None = section.get("key")
    return None if reference is None else reference.vault


@dataclass(frozen=True, slots=True)
class RawTarget(SectionWithDefaults):
    """A target and the defaults of its file."""

    def get(self, name: str) -> Any:
        return self.vault if name == "vault" else self.holder_of(name).get(name)

    @property
    def vault(self) -> str | None:
        """The vault of the KeyUri, if `key` is one; else the value of `vault`."""
        return vault_of(self.holder_of("key")) or self.holder_of("vault").get("vault")

    @property
    def labels(self) -> dict[str, str]:
        inherited = self.defaults.get("labels") if self.defaults is not None else None
        return {**(inherited or {}), **(self.own.get("labels") or {})}


@dataclass(frozen=True, slots=True)
class Globals:
    """The section `global`, and which of its keys are in the file."""

    settings: Settings
    timeout: float | None
    timeout_location: Location
    generation_declared: bool


def build_globals(section: Section | None, main: Location) -> Globals:
    """Build the section `global`, which may be absent.

    `build` raises the concurrency to what the targets need.
    """
    section = section or Section(main.child("global"))
    raw = plain_values(Settings, section)
    interval = raw.get("interval", Settings().interval)
    timeout = raw.pop("timeout", None)
    location = section.location_of("timeout")
    if timeout is not None and timeout > interval / 2:
        location.error(_above_half(timeout, interval))
    settings = Settings(**raw, timeout=timeout if timeout is not None else default_timeout(interval))
    return Globals(settings, timeout, location, section.is_set("connector_generation"))


def default_timeout(interval: float) -> float:
    """Return the timeout in seconds of a target that sets none."""
    return min(Settings().timeout, interval / 2)


def _above_half(timeout: float, interval: float) -> str:
    written, limited = durations.write(timeout), durations.write(interval)
    return f"a timeout of {written} exceeds half of the interval of {limited}: shorten it, or probe less often"


def build_target(raw: RawTarget, globals_: Globals) -> Target | None:
    """Build the target; None if a required key is missing or unusable.

    Problems are reported.
    """
    usable = _has_all(raw)
    interval = raw.get("interval") or globals_.settings.interval
    timeout = _timeout(raw, globals_, interval)
    retained = _retained(raw)
    if not usable:
        return None
    key: KeyReference = raw.get("key")
    values = plain_values(Target, raw)
    module = values.setdefault("module", DEFAULT_MODULE)
    declared = "generation" in values or globals_.generation_declared
    built = {
        "key_name": key.name,
        "key_version": key.version,
        "interval": interval,
        "timeout": timeout,
        "generation": values.get("generation", globals_.settings.generation),
        "generation_declared": declared,
        "next_credential": _next_credential(raw),
        "retained_versions": retained,
        "recovery_credential": _recovery_credential(raw),
        "modules": tuple(name for name in values.get("modules", ()) if name != module),
        "labels": raw.labels,
    }
    return Target(**(values | built))


def _has_all(raw: RawTarget) -> bool:
    usable = True
    for field in TARGET:
        if not field.required:
            continue
        usable = usable and raw.get(field.name) is not None
        if not raw.is_set(field.name) and not (field.name == "vault" and raw.vault):
            elsewhere = "" if field.name == "name" else ", here or in target_defaults"
            raw.own.location.child(field.name).error(f"is required{elsewhere}")
    return usable


def _timeout(raw: RawTarget, globals_: Globals, interval: float) -> float:
    own: float | None = raw.get("timeout")
    timeout = own if own is not None else globals_.timeout
    if timeout is None or (raw.is_set("interval") and raw.get("interval") is None):
        return default_timeout(interval)
    if timeout > interval / 2:
        _timeout_location(raw, globals_).error(_above_half(timeout, interval))
    return timeout


def _timeout_location(raw: RawTarget, globals_: Globals) -> Location:
    """The location of the key that causes the disproportion, nearest to the target."""
    for name in ("timeout", "interval"):
        if raw.is_set(name):
            return raw.location_of(name)
    return globals_.timeout_location


def _next_credential(raw: RawTarget) -> str | None:
    """Return the staged credential.

    The result is None if the staged credential is a default that this target already uses, as in a rollover with several steps.
    """
    staged: str | None = raw.get("next_credential")
    return None if staged == raw.get("credential") else staged


def _recovery_credential(raw: RawTarget) -> str | None:
    if raw.get("recovery_vault") is None:
        return None
    credential: str | None = raw.get("recovery_credential") or raw.get("credential")
    return credential


def retained_vault(section: Section, raw: RawTarget) -> str | None:
    """Return the vault of a retained key: of its KeyUri, its own, or the target's."""
    return vault_of(section) or section.get("vault") or raw.vault


def _retained(raw: RawTarget) -> tuple[Retained, ...]:
    found = []
    for section in raw.get("retained_versions") or ():
        require(section, RETAINED)
        key: KeyReference | None = section.get("key")
        vault, credential = retained_vault(section, raw), section.get("credential") or raw.get("credential")
        if key is None or vault is None or credential is None:
            continue
        if key.version is None:
            section.location_of("key").error("a retained key needs a version: write NAME/VERSION")
        found.append(
            Retained(key_name=key.name, key_version=key.version, vault=vault, credential=credential, until=section.get("until"))
        )
    return tuple(found)
