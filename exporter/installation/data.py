"""Settings and secrets of an installation, and its removal."""

from __future__ import annotations

from pathlib import Path

from exporter.installation import files, service_states
from exporter.installation.services import HostServices, Surroundings
from exporter.installation.settings import ServiceSettings, parse_settings


class RefusedError(Exception):
    """Something given or found prevents the installation; the text states what. Nothing is changed."""


def read_settings(base: Path) -> ServiceSettings | None:
    """Return the settings of an earlier installation. Raises RefusedError and OSError."""
    path = base / files.SETTINGS
    if not path.exists():
        return None
    try:
        return parse_settings(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        raise RefusedError(f"{path} is damaged: delete this file, and run service install with all flags") from None


def remove(base: Path, name: str, services: HostServices, host: Surroundings, *, data: bool) -> None:
    """Remove service, firewall rule and event source; with `data` also all but the program. Raises OSError and FirewallError."""
    service_states.stop(services, name)
    services.delete(name)
    host.admit(name, 0, ())
    host.remove_source(name)
    if data:
        files.remove_data(base)
    service_states.wait_until_gone(services, name)


def write_secret(base: Path, name: str, secret: str, host: Surroundings) -> Path:
    """Write a secret file in UTF-8 without a byte order mark; return its path. Raises OSError.

    An installation has protected its folder; before the first one, everybody may be able to read it.
    """
    folder = base / files.SECRETS
    folder.mkdir(parents=True, exist_ok=True)
    if not (base / files.SETTINGS).exists():
        host.protect_secrets(folder)
    files.replace_file(folder / name, secret.encode())
    return folder / name
