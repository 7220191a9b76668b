"""Installing: prepare the folders, put the files, register, start; restore what was there if it does not start. And removal.

Before, `check_place` and `check_program` tell whether folder, program and service belong together.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from exporter.config.load import Loaded, load_config
from exporter.runtime.files import plainly
from exporter.windows import accounts, event_log, service
from exporter.windows.accounts import is_link
from exporter.windows.rules import (
    ADMINISTRATORS_ONLY,
    PROGRAM,
    Existing,
    InstallationPlan,
    ServiceDefinition,
    ServiceSettings,
    ServiceState,
    account,
    check_secret_name,
    dump_settings,
    folder_of_program,
    folder_rights,
    is_command_of,
    is_program_of,
    own_account,
    parse_settings,
    port_of,
    service_sid,
)
from exporter.windows.service import RELOAD, RESTART_SECONDS, RUNNING, STOP, STOP_PENDING, STOPPED, FirewallError, ServiceManager

# The rights on the folders.


def protect(base: Path, settings: ServiceSettings, folders: Collection[str]) -> None:
    """Give each of these folders its rights, if it exists; `""` is the installation itself. Raises OSError."""
    who = account(settings)
    own = who.casefold() == own_account(settings.name).casefold()
    rights = folder_rights(service_sid(settings.name) if own else accounts.account_sid(who))
    keep = tuple(base / name for name in rights if name)
    for name, descriptor in rights.items():
        if name in folders and (base / name).is_dir():
            accounts.set_folder_access(base / name, descriptor, keep=keep)


# Waiting for a service to run, to stop and to be gone.

START_SECONDS, STOP_SECONDS, DELETE_SECONDS = 60.0, 60.0, 60.0
PAUSE_SECONDS = 0.2
TIMED_OUT = -1


class StillThereError(Exception):
    """A service has not stopped or is not deleted; the text states what to do."""


def _states(services: ServiceManager, name: str, seconds: float) -> Iterator[ServiceState | None]:
    """Yield the state of a service, None without one, again and again until the time is over. Raises OSError."""
    deadline = time.monotonic() + seconds
    yield services.state(name)
    while time.monotonic() <= deadline:
        time.sleep(PAUSE_SECONDS)
        yield services.state(name)


def wait_until_running(services: ServiceManager, name: str) -> int | None:
    """Return None once the service runs, the exit code if it has stopped, or TIMED_OUT. Raises OSError."""
    for found in _states(services, name, START_SECONDS):
        if found is not None and found.state in (RUNNING, STOPPED):
            return None if found.state == RUNNING else found.exit_code
    return TIMED_OUT


def stop(services: ServiceManager, name: str) -> None:
    """Stop a service and wait; nothing if it does not run. Raises StillThereError and OSError."""
    for found in _states(services, name, STOP_SECONDS):
        if found is None or found.state == STOPPED:
            return
        if found.state != STOP_PENDING:  # again, since a service that is starting refuses it
            services.control(name, STOP)
    raise StillThereError(f"the service {name} does not stop: end its process in the task manager, then run this again")


def start_again(services: ServiceManager, name: str) -> None:
    """Start a service that may still be stopping, without a wait for its start; nothing if it runs. Raises OSError."""
    for found in _states(services, name, STOP_SECONDS):
        if found is None or found.state in (RUNNING, STOPPED):
            break
    services.start(name)


# The files: what a given configuration changes, the changes, and what undoes them.

CONFIGURATION, PARTS, SECRETS = "ekm.yml", "targets.d", "secrets"
SETTINGS = "service.json"
DATA = (CONFIGURATION, PARTS, SECRETS, "state", "logs", SETTINGS)  # with the previous ones, all but the program
OLD = ".old"
_TRIES, _PAUSE = 20, 0.1  # seconds; a running exporter may be reading the file


def changed_files(base: Path, source: Path | None) -> dict[str, bytes | None]:
    """Return the files that differ from those of the installation; None is one to delete.

    `source` is a configuration; the folders `targets.d` and `secrets` next to it belong to it. Raises OSError.
    """
    if source is None or source.parent.resolve() == base.resolve():
        return {}
    wanted: dict[str, bytes | None] = {CONFIGURATION: source.read_bytes()}
    if (source.parent / PARTS).is_dir():
        wanted |= dict.fromkeys(_files(base, PARTS, "*.yml"))
        wanted |= _files(source.parent, PARTS, "*.yml")
    secrets = _files(source.parent, SECRETS, "*")
    wanted |= {name: content for name, content in secrets.items() if not check_secret_name(name.partition("/")[2])}
    return {name: content for name, content in wanted.items() if content != _content(base / name)}


def write_files(base: Path, changes: Mapping[str, bytes | None]) -> None:
    """Make the changes. Raises OSError."""
    for name, content in changes.items():
        path = base / name
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)


def keep_previous(base: Path, previous: Mapping[str, bytes | None]) -> None:
    """Write the previous configuration to `ekm.yml.old` and `targets.d.old`. Raises OSError."""
    if any(name.startswith(PARTS) for name in previous):
        shutil.rmtree(base / (PARTS + OLD), ignore_errors=True)
        unchanged = {name: content for name, content in _files(base, PARTS, "*.yml").items() if name not in previous}
        previous = {**previous, **unchanged}
    for name, content in previous.items():
        first, _, rest = name.partition("/")
        if content is not None and first in (CONFIGURATION, PARTS):
            path = base / (first + OLD) / rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def remove_data(base: Path) -> None:
    """Delete configuration, secrets, state and logs, and the folder itself if nothing else is in it. Raises OSError.

    What a link points to stays.
    """
    for name in DATA:
        for path in (base / name, base / (name + OLD)):
            if path.is_dir() and not is_link(path.lstat()):
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    if base.is_dir() and not any(base.iterdir()):
        base.rmdir()


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader finds the old content or the new one. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    for left in reversed(range(_TRIES)):
        try:
            new.replace(path)
        except PermissionError:
            if not left:
                new.unlink()
                raise
            time.sleep(_PAUSE)
        else:
            return


def _files(folder: Path, name: str, pattern: str) -> dict[str, bytes | None]:
    return {f"{name}/{path.name}": path.read_bytes() for path in sorted((folder / name).glob(pattern)) if path.is_file()}


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


# The installation.

READ_BY_SERVICE, WRITTEN_BY_SERVICE = ("", SECRETS), ("state", "logs")  # folders of the installation
LOG = Path("logs", "ekm-exporter.log")


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
    changes: Mapping[str, bytes | None]  # of files, from `changed_files`
    plan: InstallationPlan


class _WayBack(contextlib.ExitStack):
    """What undoes the steps, from the last to the first. A failure of one is not shown: that of the installation is."""

    def add(self, step: Callable[..., object], *arguments: object) -> None:
        """Add the undoing of a step before the step, which may fail when half of it is done."""

        def undo() -> None:
            with contextlib.suppress(StillThereError, OSError, FirewallError):
                step(*arguments)

        self.callback(undo)


def install(this: Installation, services: ServiceManager) -> tuple[str, ...]:
    """Install and start as planned; return warnings. A failure leaves things as they were: a new service is removed.

    Raises BadConfigurationError, NotRunningError, StillThereError, OSError (WindowsCallError too) and FirewallError.
    """
    for folder in (*READ_BY_SERVICE, *WRITTEN_BY_SERVICE):
        (this.base / folder).mkdir(parents=True, exist_ok=True)
    with _WayBack() as way_back:
        if this.found.is_running:
            way_back.add(start_again, services, this.settings.name)
        _protect(this, way_back, READ_BY_SERVICE)
        previous = _write(this, way_back, this.changes)
        if (this.base / CONFIGURATION).exists():  # checked in its place, since paths in it are relative
            loaded = load_config(this.base / CONFIGURATION)
            if loaded.config is None:
                raise BadConfigurationError(loaded)
        if this.plan.action == "restart":
            stop(services, this.settings.name)
        # not those where the service writes while it runs: it could put a link there meanwhile
        runs = this.found.is_running and this.plan.action != "restart"
        program = not this.found.is_running or "program" in this.plan.changes  # thousands of files, in use while it runs
        _protect(this, way_back, (*(() if runs else WRITTEN_BY_SERVICE), *((PROGRAM,) if program else ())))
        warnings = _register(this, services, way_back)
        _start(this, services, way_back)
        warnings += services.set_restarts(this.settings.name, RESTART_SECONDS)
        way_back.pop_all()
    try:
        keep_previous(this.base, previous)
    except OSError as error:  # a warning, since the new one is in use already
        return (*warnings, f"the previous configuration is not kept: {error.filename}: {plainly(error)}")
    return warnings


def _protect(this: Installation, way_back: _WayBack, folders: tuple[str, ...]) -> None:
    before = this.found.settings
    if before is not None and account(before) != account(this.settings):
        way_back.add(protect, this.base, before, folders)
    protect(this.base, this.settings, folders)


def _write(this: Installation, way_back: _WayBack, changes: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Write the files; return what was there."""
    previous = {name: _content(this.base / name) for name in changes}
    way_back.add(write_files, this.base, previous)
    write_files(this.base, changes)
    return previous


def _register(this: Installation, services: ServiceManager, way_back: _WayBack) -> tuple[str, ...]:
    name, found = this.settings.name, this.found
    if found.service is None:
        way_back.add(event_log.remove_source, name)
        way_back.add(service.set_rule, name, 0, ())
        way_back.add(services.delete, name)  # Windows deletes one that does not stop once its process has ended
    else:
        way_back.add(services.save, found.service)
    warnings = services.save(this.service)
    event_log.register_source(name)
    if "firewall" in this.plan.changes or this.settings.prometheus:  # also if the rule was changed by hand
        if found.settings is not None:
            way_back.add(service.set_rule, name, port_of(found.settings), found.settings.prometheus)
        service.set_rule(name, port_of(this.settings), this.settings.prometheus)
    _write(this, way_back, {SETTINGS: dump_settings(this.settings).encode()})
    return warnings


def _start(this: Installation, services: ServiceManager, way_back: _WayBack) -> None:
    name, action = this.settings.name, this.plan.action
    if action == "reload":
        services.control(name, RELOAD)
    if action in ("start", "restart"):
        log = this.base / LOG
        begun = log.stat().st_size if log.exists() else 0
        if this.found.service is not None:
            way_back.add(services.set_restarts, name, RESTART_SECONDS)
        services.set_restarts(name, ())  # else Windows starts it again while the way back is gone
        way_back.add(stop, services, name)
        services.start(name)
        code = wait_until_running(services, name)
        if code is not None:
            ended = "has not started within a minute" if code < 0 else f"ended with exit code {code}"
            raise NotRunningError(
                f"the service {name} {ended}. {_log_since(log, begun)}\nCorrect the cause, then run the same command again."
            )


def _log_since(path: Path, begun: int) -> str:
    """Return what a start has logged; at most the last ten lines."""
    if not path.exists():
        return f"It has written no log to {path}"
    written = path.read_bytes()
    lines = written[begun if len(written) >= begun else 0 :].decode(errors="replace").splitlines()
    return "\n".join((f"The end of {path}:", *lines[-10:]))


# Settings and secrets, and the removal.


class RefusedError(Exception):
    """Something given or found prevents the installation; the text states what. Nothing is changed."""


def read_settings(base: Path) -> ServiceSettings | None:
    """Return the settings of an earlier installation. Raises RefusedError and OSError."""
    path = base / SETTINGS
    if not path.exists():
        return None
    try:
        return parse_settings(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        raise RefusedError(f"{path} is damaged: delete this file, and run service install with all flags") from None


def remove(base: Path, name: str, services: ServiceManager, *, data: bool) -> None:
    """Remove service, firewall rule and event source; with `data` also all but the program. Raises StillThereError, OSError and FirewallError."""
    stop(services, name)
    services.delete(name)
    service.set_rule(name, 0, ())
    event_log.remove_source(name)
    if data:
        remove_data(base)
    if None not in _states(services, name, DELETE_SECONDS):
        raise StillThereError(
            f"Windows keeps the service {name} while a program shows it: close services.msc, and Windows deletes it"
        )


def write_secret(base: Path, name: str, secret: str) -> Path:
    """Write a secret file in UTF-8 without a byte order mark; return its path. Raises OSError.

    An installation has protected its folder; before the first one, everybody may be able to read it.
    """
    folder = base / SECRETS
    folder.mkdir(parents=True, exist_ok=True)
    if not (base / SETTINGS).exists():
        accounts.set_folder_access(folder, ADMINISTRATORS_ONLY)
    replace_file(folder / name, secret.encode())
    return folder / name


# Whether folder, program and service belong together: an installation changes and deletes only what is its own.

_PREPARED = {CONFIGURATION, SECRETS}
_OWN = {*DATA, *(name + OLD for name in DATA), "install.log"}  # Windows ignores the case
_NAMED = 5  # files that a message names


def check_place(base: Path, name: str, earlier: ServiceSettings | None, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if the folder belongs to something else: its rights change, and its data may be deleted later."""
    check_service(base, name, registered)
    if earlier is not None and earlier.name.casefold() != name.casefold():
        raise RefusedError(f"{base} is the folder of the service {earlier.name}: give another one with --base")
    has_program = earlier is not None or (base / "app" / "lib" / "exporter").is_dir()
    # A folder without this program has nothing but what an installation or its preparation puts there.
    present = [] if has_program or not base.is_dir() else sorted(path.name for path in base.iterdir())
    others = [each for each in present if each.casefold() not in _OWN]
    if base.parent == base or (present and not any(each.casefold() in _PREPARED for each in present)):
        such = "" if base.parent == base else f", such as {(others or present)[0]}"
        raise RefusedError(f"{base} has files of other programs{such}: give a folder of its own with --base")
    if others:
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        which, what = ("which is", "it") if len(others) == 1 else ("which are", "them")
        raise RefusedError(
            f"{base} has {', '.join(others[:_NAMED])}{more}, {which} not of an installation: move {what} away, install, then put "
            f"{what} back"
        )


def check_service(base: Path, name: str, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if a service of this name runs something else than the installation in this folder."""
    if registered is not None and not is_command_of(registered.command, name, PureWindowsPath(base)):
        raise RefusedError(
            f"the service {name} is not that of {base}; it runs {registered.command}. If it is an ekm-exporter, remove it with its "
            f"own folder: ekm-exporter service remove --name {name} --base FOLDER"
        )


def check_program(python: str, base: Path, services: ServiceManager) -> None:
    """Raises RefusedError unless this program has the rights of an installation: every user may be able to change another one."""
    program = PureWindowsPath(python)
    other = folder_of_program(program)
    if is_program_of(program, PureWindowsPath(base)) or (other is not None and _has_service(other, program, services)):
        return
    raise RefusedError(
        f"the service would run {python}, which other users may be able to change: install the MSI, or unpack the zip to {base}, "
        "and use the program that is there"
    )


def _has_service(base: PureWindowsPath, program: PureWindowsPath, services: ServiceManager) -> bool:
    settings = read_settings(Path(base))
    registered = None if settings is None else services.find(settings.name)
    if settings is None or registered is None:
        return False
    return is_program_of(program, base) and is_command_of(registered.command, settings.name, base)
