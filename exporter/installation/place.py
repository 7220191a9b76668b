"""Whether folder, program and service belong together: an installation changes and deletes only what is its own."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from exporter.installation import files
from exporter.installation.data import RefusedError, read_settings
from exporter.installation.services import HostServices
from exporter.installation.settings import ServiceSettings, folder_of_program, is_command_of, is_program_of
from exporter.runtime.windows.service_definition import ServiceDefinition

_PREPARED = {files.CONFIGURATION, files.SECRETS}
_OWN = {*files.DATA, *(name + files.OLD for name in files.DATA), "install.log"}  # Windows ignores the case
_NAMED = 5  # files that a message names


def check_place(base: Path, name: str, earlier: ServiceSettings | None, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if the folder belongs to something else: its rights change, and its data may be deleted later."""
    check_service(base, name, registered)
    if earlier is not None and earlier.name.casefold() != name.casefold():
        raise RefusedError(f"{base} is the folder of the service {earlier.name}: give another one with --base")
    if base.parent == base:
        raise RefusedError(f"{base} has files of other programs: give a folder of its own with --base")
    if earlier is None and not (base / "app" / "lib" / "exporter").is_dir():
        _check_files(base)


def _check_files(base: Path) -> None:
    """Raises RefusedError if a folder without this program has more than what an installation or its preparation puts there."""
    present = sorted(path.name for path in base.iterdir()) if base.is_dir() else []
    others = [name for name in present if name.casefold() not in _OWN]
    if present and not any(name.casefold() in _PREPARED for name in present):
        raise RefusedError(
            f"{base} has files of other programs, such as {(others or present)[0]}: give a folder of its own with --base"
        )
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


def check_program(python: str, base: Path, services: HostServices) -> None:
    """Raises RefusedError unless this program has the rights of an installation: every user may be able to change another one."""
    program = PureWindowsPath(python)
    other = folder_of_program(program)
    if is_program_of(program, PureWindowsPath(base)) or (other is not None and _has_service(other, program, services)):
        return
    raise RefusedError(
        f"the service would run {python}, which other users may be able to change: install the MSI, or unpack the zip to {base}, "
        "and use the program that is there"
    )


def _has_service(base: PureWindowsPath, program: PureWindowsPath, services: HostServices) -> bool:
    settings = read_settings(Path(base))
    registered = None if settings is None else services.find(settings.name)
    return (
        settings is not None
        and registered is not None
        and is_program_of(program, base)
        and is_command_of(registered.command, settings.name, base)
    )
