"""Installing: prepare the folders, put the files, register, start; restore what was there if it does not start."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from exporter.config.loader import Loaded, load_config
from exporter.installation import files, service_states
from exporter.installation.data import RefusedError
from exporter.installation.plan import Action, InstallationPlan
from exporter.installation.service_states import StillThereError
from exporter.installation.services import HostServices, Surroundings
from exporter.installation.settings import ServiceSettings, dump_settings, is_command_of, port_of
from exporter.runtime.windows.service_definition import ServiceDefinition
from exporter.runtime.windows.service_manager import RELOAD

FOLDERS = ("", files.SECRETS, "state", "logs")
LOG = Path("logs", "ekm-exporter.log")
_AGAIN = "Correct the cause, then run the same command again."


class BadConfigurationError(Exception):
    """The configuration has problems, which `loaded` lists. Nothing is changed."""

    def __init__(self, loaded: Loaded) -> None:
        self.loaded = loaded
        super().__init__("the configuration has problems; nothing is changed")


class NotRunningError(Exception):
    """The service was started and does not run; the text states why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is to be installed, and where."""

    base: Path
    settings: ServiceSettings
    service: ServiceDefinition
    changes: Mapping[str, bytes | None]  # of files, from `files.changed_files`
    plan: InstallationPlan


def check_place(base: Path, name: str, earlier: ServiceSettings | None, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if the folder belongs to something else: its rights change, and its data may be deleted later."""
    if registered is not None and not is_command_of(registered.command, PureWindowsPath(base)):
        raise RefusedError(
            f"the service {name} belongs to another folder: {registered.command}. "
            f"Remove it first, with that folder: ekm-exporter service remove --name {name} --base FOLDER"
        )
    if earlier is not None and earlier.name != name:
        raise RefusedError(f"{base} is the folder of the service {earlier.name}: give another one with --base")
    present = {path.name for path in base.iterdir()} if base.is_dir() else set()
    if earlier is None and present and not present & {"app", files.CONFIGURATION, files.SECRETS}:
        raise RefusedError(f"{base} has files of other programs: give a folder of its own with --base")


def install(this: Installation, services: HostServices, host: Surroundings) -> tuple[str, ...]:
    """Install and start as planned; return warnings.

    Raises BadConfigurationError, NotRunningError, StillThereError, OSError (WindowsCallError too) and FirewallError.
    """
    for folder in FOLDERS:
        (this.base / folder).mkdir(parents=True, exist_ok=True)
    host.protect(this.base, this.settings)
    previous = _put_files(this.base, this.changes)
    before = services.find(this.settings.name)
    warnings = services.save(this.service)
    host.add_source(this.settings.name)
    host.admit(this.settings.name, port_of(this.settings), this.settings.prometheus)
    previous |= files.write_files(this.base, {files.SETTINGS: dump_settings(this.settings).encode()})
    try:
        _finish(this, services)
    except (NotRunningError, StillThereError, OSError):
        with contextlib.suppress(StillThereError, OSError):  # the first failure is the one to show
            _restore(this, services, before, previous)
        raise
    files.keep_previous(this.base, previous)
    return warnings


def _put_files(base: Path, changes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Write the files and check them in their place, since paths in them are relative; undo a configuration with problems."""
    previous = files.write_files(base, changes)
    if (base / files.CONFIGURATION).exists():
        loaded = load_config(base / files.CONFIGURATION)
        if loaded.config is None:
            files.write_files(base, previous)
            raise BadConfigurationError(loaded)
    return previous


def _finish(this: Installation, services: HostServices) -> None:
    name, action = this.settings.name, this.plan.action
    if action is Action.RELOAD:
        services.control(name, RELOAD)
    if action is Action.RESTART:
        service_states.stop(services, name)
    if action in (Action.START, Action.RESTART):
        begun = _size(this.base / LOG)
        services.start(name)
        code = service_states.wait_until_running(services, name)
        if code is not None:
            raise NotRunningError(f"the service {name} {_ended(code)}. {_log_since(this.base / LOG, begun)}\n{_AGAIN}")


def _restore(
    this: Installation, services: HostServices, before: ServiceDefinition | None, previous: Mapping[str, bytes | None]
) -> None:
    """Restore the previous configuration and service, if there was one. It starts without a wait."""
    if before is None:
        return
    service_states.stop(services, this.settings.name)
    files.write_files(this.base, previous)
    services.save(before)
    services.start(before.name)


def _ended(code: int) -> str:
    return "has not started within a minute" if code < 0 else f"ended with exit code {code}"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _log_since(path: Path, begun: int) -> str:
    """Return what a start has logged; at most the last ten lines."""
    if not path.exists():
        return f"It has written no log to {path}"
    with path.open("rb") as log:
        log.seek(begun if _size(path) >= begun else 0)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join((f"The end of {path}:", *lines[-10:]))
