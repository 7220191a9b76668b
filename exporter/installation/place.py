"""Whether folder, program and service belong together: an installation changes and deletes only what is its own."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from exporter.installation import files
from exporter.installation.data import RefusedError, read_settings
from exporter.installation.services import HostServices
from exporter.installation.settings import ServiceSettings, folder_of_program, is_command_of, is_program_of
from exporter.runtime.windows.service_definition import ServiceDefinition


def check_place(base: Path, name: str, earlier: ServiceSettings | None, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if the folder belongs to something else: its rights change, and its data may be deleted later."""
    check_service(base, name, registered)
    if earlier is not None and earlier.name != name:
        raise RefusedError(f"{base} is the folder of the service {earlier.name}: give another one with --base")
    present = {path.name for path in base.iterdir()} if base.is_dir() else set()
    if earlier is None and present and not present & {"app", files.CONFIGURATION, files.SECRETS}:
        raise RefusedError(f"{base} has files of other programs: give a folder of its own with --base")


def check_service(base: Path, name: str, registered: ServiceDefinition | None) -> None:
    """Raises RefusedError if a service of this name runs something else than the installation in this folder."""
    if registered is not None and not is_command_of(registered.command, name, PureWindowsPath(base)):
        raise RefusedError(f"the service {name} is not that of {base}; it runs {registered.command}. Give its folder with --base")


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
