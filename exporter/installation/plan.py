"""What an installation changes: a pure decision from what there is and what is wanted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from exporter.installation.settings import ServiceSettings
from exporter.runtime.windows.service_definition import ServiceDefinition


class Change(StrEnum):
    PROGRAM = "program"
    SERVICE = "service"
    CONFIGURATION = "configuration"
    SECRETS = "secrets"
    FIREWALL = "firewall"
    START = "start"


class Action(StrEnum):
    """What happens to the process of the service at the end."""

    NOTHING = "nothing"
    RELOAD = "reload"
    START = "start"
    RESTART = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """What an installation finds on the host."""

    service: ServiceDefinition | None
    settings: ServiceSettings | None  # of an earlier installation
    is_running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    service: ServiceDefinition
    settings: ServiceSettings
    changed_files: Collection[str]  # relative to the folder of the installation
    has_configuration: bool  # afterwards
    start: bool


@dataclass(frozen=True, slots=True)
class InstallationPlan:
    changes: tuple[Change, ...]
    action: Action


def make_plan(found: Existing, wanted: Wanted) -> InstallationPlan:
    """Return what changes, in the order in which it is reported."""
    before = found.settings
    program = before is None or before.version != wanted.settings.version
    service = not wanted.service.is_same(found.service)
    secrets = any(_is_secret(name) for name in wanted.changed_files)
    configuration = any(not _is_secret(name) for name in wanted.changed_files)
    firewall = _firewall(before) != _firewall(wanted.settings)
    action = _action(found, wanted, restart=program or service, reload=configuration)
    changes = {
        Change.PROGRAM: program,
        Change.SERVICE: service,
        Change.CONFIGURATION: configuration,
        Change.SECRETS: secrets,
        Change.FIREWALL: firewall,
        Change.START: action is Action.START,
    }
    return InstallationPlan(tuple(change for change, is_due in changes.items() if is_due), action)


def _action(found: Existing, wanted: Wanted, *, restart: bool, reload: bool) -> Action:
    if not wanted.start or not wanted.has_configuration:
        return Action.NOTHING
    if not found.is_running:
        return Action.START
    if restart:
        return Action.RESTART
    return Action.RELOAD if reload else Action.NOTHING


def _firewall(settings: ServiceSettings | None) -> tuple[str, ...]:
    """Return what the rule depends on; nothing without addresses, since there is no rule then."""
    return (settings.address, *settings.prometheus) if settings and settings.prometheus else ()


def _is_secret(name: str) -> bool:
    return name.startswith("secrets/")
