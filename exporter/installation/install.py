"""Installing: prepare the folders, put the files, register, start; restore what was there if it does not start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.loader import Loaded, load_config
from exporter.installation import files, service_states
from exporter.installation.access import PROGRAM
from exporter.installation.plan import Action, Change, Existing, InstallationPlan
from exporter.installation.service_states import StillThereError
from exporter.installation.services import HostServices, Surroundings
from exporter.installation.settings import ServiceSettings, account, dump_settings, port_of
from exporter.runtime.files import plainly
from exporter.runtime.windows.firewall import FirewallError
from exporter.runtime.windows.service_definition import ServiceDefinition
from exporter.runtime.windows.service_manager import RELOAD, RESTART_SECONDS

READ_BY_SERVICE, WRITTEN_BY_SERVICE = ("", files.SECRETS), ("state", "logs")  # folders of the installation
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
    found: Existing
    changes: Mapping[str, bytes | None]  # of files, from `files.changed_files`
    plan: InstallationPlan


class _WayBack(contextlib.ExitStack):
    """What undoes the steps, from the last to the first. A failure of one is not shown: that of the installation is."""

    def add(self, step: Callable[..., object], *arguments: object) -> None:
        """Add the undoing of a step before the step, which may fail when half of it is done."""

        def undo() -> None:
            with contextlib.suppress(StillThereError, OSError, FirewallError):
                step(*arguments)

        self.callback(undo)


def install(this: Installation, services: HostServices, host: Surroundings) -> tuple[str, ...]:
    """Install and start as planned; return warnings. A failure leaves things as they were: a new service is removed.

    Raises BadConfigurationError, NotRunningError, StillThereError, OSError (WindowsCallError too) and FirewallError.
    """
    for folder in (*READ_BY_SERVICE, *WRITTEN_BY_SERVICE):
        (this.base / folder).mkdir(parents=True, exist_ok=True)
    with _WayBack() as way_back:
        if this.found.is_running:
            way_back.add(service_states.start_again, services, this.settings.name)
        _protect(this, host, way_back, READ_BY_SERVICE)
        previous = _put_files(this, way_back)
        if this.plan.action is Action.RESTART:
            service_states.stop(services, this.settings.name)
        _protect(this, host, way_back, _folders_to_protect(this))
        warnings = _register(this, services, host, way_back)
        _start(this, services, way_back)
        warnings += services.set_restarts(this.settings.name, RESTART_SECONDS)
        way_back.pop_all()
    return (*warnings, *_keep_previous(this, previous))


def _keep_previous(this: Installation, previous: Mapping[str, bytes | None]) -> tuple[str, ...]:
    """Keep the previous configuration; return a warning if that fails, since the new one is in use already."""
    try:
        files.keep_previous(this.base, previous)
    except OSError as error:
        return (f"the previous configuration is not kept: {error.filename}: {plainly(error)}",)
    return ()


def _protect(this: Installation, host: Surroundings, way_back: _WayBack, folders: tuple[str, ...]) -> None:
    before = this.found.settings
    if before is not None and account(before) != account(this.settings):
        way_back.add(host.protect, this.base, before, folders)
    host.protect(this.base, this.settings, folders)


def _folders_to_protect(this: Installation) -> tuple[str, ...]:
    """Return the other folders; those where the service writes only while it does not run: it could put a link there meanwhile."""
    runs = this.found.is_running and this.plan.action is not Action.RESTART
    program = not this.found.is_running or Change.PROGRAM in this.plan.changes  # thousands of files, in use while it runs
    return (*(() if runs else WRITTEN_BY_SERVICE), *((PROGRAM,) if program else ()))


def _put_files(this: Installation, way_back: _WayBack) -> dict[str, bytes | None]:
    """Write the files and check them in their place, since paths in them are relative; return what was there."""
    previous = _write(this, way_back, this.changes)
    if (this.base / files.CONFIGURATION).exists():
        loaded = load_config(this.base / files.CONFIGURATION)
        if loaded.config is None:
            raise BadConfigurationError(loaded)
    return previous


def _write(this: Installation, way_back: _WayBack, changes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    previous = files.contents(this.base, changes)
    way_back.add(files.write_files, this.base, previous)
    files.write_files(this.base, changes)
    return previous


def _register(this: Installation, services: HostServices, host: Surroundings, way_back: _WayBack) -> tuple[str, ...]:
    name, found = this.settings.name, this.found
    if found.service is None:
        way_back.add(host.remove_source, name)
        way_back.add(host.admit, name, 0, ())
        way_back.add(services.delete, name)  # Windows deletes one that does not stop once its process has ended
    else:
        way_back.add(services.save, found.service)
    warnings = services.save(this.service)
    host.add_source(name)
    if Change.FIREWALL in this.plan.changes or this.settings.prometheus:  # also if the rule was changed by hand
        if found.settings is not None:
            way_back.add(host.admit, name, port_of(found.settings), found.settings.prometheus)
        host.admit(name, port_of(this.settings), this.settings.prometheus)
    _write(this, way_back, {files.SETTINGS: dump_settings(this.settings).encode()})
    return warnings


def _start(this: Installation, services: HostServices, way_back: _WayBack) -> None:
    name, action = this.settings.name, this.plan.action
    if action is Action.RELOAD:
        services.control(name, RELOAD)
    if action in (Action.START, Action.RESTART):
        begun = _size(this.base / LOG)
        if this.found.service is not None:
            way_back.add(services.set_restarts, name, RESTART_SECONDS)
        services.set_restarts(name, ())  # else Windows starts it again while the way back is gone
        way_back.add(service_states.stop, services, name)
        services.start(name)
        code = service_states.wait_until_running(services, name)
        if code is not None:
            raise NotRunningError(f"the service {name} {_ended(code)}. {_log_since(this.base / LOG, begun)}\n{_AGAIN}")


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
