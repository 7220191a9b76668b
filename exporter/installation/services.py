"""What an installation needs of the host; on Windows the real one, in tests a stand-in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from exporter.core.windows_host.access_list import service_sid
from exporter.installation.access import ADMINISTRATORS_ONLY, folder_rights
from exporter.installation.settings import ServiceSettings, account, own_account
from exporter.runtime.windows import access, event_log, firewall
from exporter.runtime.windows.service_definition import ServiceDefinition, ServiceState


class HostServices(Protocol):
    """The service manager: see `ServiceManager`, which raises WindowsCallError."""

    def find(self, name: str) -> ServiceDefinition | None: ...
    def save(self, wanted: ServiceDefinition) -> tuple[str, ...]: ...
    def set_restarts(self, name: str, seconds: Sequence[int]) -> tuple[str, ...]: ...
    def state(self, name: str) -> ServiceState | None: ...
    def start(self, name: str) -> None: ...
    def control(self, name: str, control: int) -> None: ...
    def delete(self, name: str) -> None: ...


class Surroundings(Protocol):
    """Rights, the event log's source and the firewall. Raises OSError and FirewallError."""

    def protect(self, base: Path, settings: ServiceSettings, folders: Collection[str]) -> None:
        """Give each of these folders its rights, if it exists; `""` is the installation itself."""
        ...

    def protect_secrets(self, folder: Path) -> None:
        """Give the folder its rights, before there is a service."""
        ...

    def add_source(self, name: str) -> None: ...
    def remove_source(self, name: str) -> None: ...
    def admit(self, name: str, port: int, addresses: Sequence[str]) -> None: ...


class WindowsHost:
    """The surroundings on Windows."""

    def protect(self, base: Path, settings: ServiceSettings, folders: Collection[str]) -> None:
        who = account(settings)
        own = who.casefold() == own_account(settings.name).casefold()
        rights = folder_rights(service_sid(settings.name) if own else access.account_sid(who))
        keep = tuple(base / name for name in rights if name)
        for name, descriptor in rights.items():
            if name in folders and (base / name).is_dir():
                access.set_folder_access(base / name, descriptor, keep=keep)

    def protect_secrets(self, folder: Path) -> None:
        access.set_folder_access(folder, ADMINISTRATORS_ONLY)

    def add_source(self, name: str) -> None:
        event_log.register_source(name)

    def remove_source(self, name: str) -> None:
        event_log.remove_source(name)

    def admit(self, name: str, port: int, addresses: Sequence[str]) -> None:
        firewall.set_rule(name, port, addresses)
