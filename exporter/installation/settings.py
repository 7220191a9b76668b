"""What an installation was given, kept for the next one in `service.json`; and the command line that follows."""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import PureWindowsPath
from typing import Any

NONE = "none"  # the word that removes a kept value
EVERY_RULE = "all"  # the firewall takes this name for all of its rules
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")
_ADDRESS = re.compile(r"\S*:\d{1,5}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?<!\.)")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_MANAGED_ACCOUNT = re.compile(r"[^\\/@\s]+\\[^\\/@]+\$")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    name: str
    version: str = ""  # of the program that is installed
    listen: str = ""  # empty: the default of the command run
    address: str = ""  # that it listens on, which follows from the flags
    arguments: str = ""  # further flags of the command run
    prometheus: tuple[str, ...] = ()  # addresses that the firewall admits
    account: str = ""  # empty: the service's own


def parse_settings(text: str) -> ServiceSettings:
    """Parse `service.json`. Raises ValueError."""
    read = json.loads(text)
    known = {field.name for field in fields(ServiceSettings)}
    values: dict[str, Any] = {name: value for name, value in read.items() if name in known} if isinstance(read, dict) else {}
    addresses = values.pop("prometheus", [])
    if not (
        isinstance(addresses, list) and "name" in values and all(isinstance(one, str) for one in (*addresses, *values.values()))
    ):
        raise ValueError("not the settings of a service")
    found = ServiceSettings(**values, prometheus=tuple(addresses))
    if check_settings(found) or (found.address and not _ADDRESS.fullmatch(found.address)):
        raise ValueError("not possible as settings of a service")
    return found


def dump_settings(settings: ServiceSettings) -> str:
    return json.dumps(asdict(settings), indent=2) + "\n"


def merge(earlier: ServiceSettings, given: Mapping[str, str | Sequence[str] | None]) -> ServiceSettings:
    """Return the earlier settings with the given ones. An empty value keeps the earlier one, `none` removes it."""
    changed: dict[str, Any] = {}
    for name, value in given.items():
        if value:
            emptied = "" if isinstance(value, str) else ()
            changed[name] = emptied if value in (NONE, [NONE]) else value if isinstance(value, str) else tuple(value)
    return replace(earlier, **changed)


def check_settings(settings: ServiceSettings) -> str:
    """Return what is wrong with the settings, or an empty text."""
    if problem := check_name(settings.name):
        return problem
    for address in settings.prometheus:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            return f"{address!r} is not an address: write one such as 10.1.2.3 or 10.1.2.0/24"
    if settings.account and settings.account.casefold() != own_account(settings.name).casefold():
        return check_account(settings)
    return ""


def check_name(name: str) -> str:
    """Return why a text cannot be the name of a service, its firewall rule and event source, or an empty text."""
    if _NAME.fullmatch(name) and name.casefold() != EVERY_RULE:
        return ""
    return f"{name!r} is not a name for a service: write letters, digits and hyphens, and not the word {EVERY_RULE}"


def check_account(settings: ServiceSettings) -> str:
    """Return why another account than the service's own is refused, or an empty text."""
    if _MANAGED_ACCOUNT.fullmatch(settings.account):
        return ""
    return (
        f"the service does not run as {settings.account!r}: use {own_account(settings.name)}, which is the default, or a group "
        r"managed service account such as CONTOSO\ekm$. A shared account such as LocalSystem could read more than it needs, and a "
        "password would have to be kept"
    )


def own_account(name: str) -> str:
    """Return the virtual account that Windows makes for a service: it has no password."""
    return rf"NT SERVICE\{name}"


def account(settings: ServiceSettings) -> str:
    return settings.account or own_account(settings.name)


def check_secret_name(name: str) -> str:
    """Return why a text cannot be the name of a secret file, or an empty text."""
    if _FILE_NAME.fullmatch(name) and not _DEVICES.fullmatch(name):
        return ""
    return f"{name!r} is not a name for a secret file: write letters, digits, dots, hyphens and underscores"


def split_words(text: str) -> list[str]:
    """Split flags at blanks, as Windows does; double quotes keep a blank."""
    return [word.replace('"', "") for word in _WORD.findall(text)]


def has_same_flags(one: ServiceSettings, other: ServiceSettings | None) -> bool:
    """Whether both give the command `run` the same flags."""
    return other is not None and run_flags(one) == run_flags(other)


def port_of(settings: ServiceSettings) -> int:
    """Return the port of the address, or 0 if the address is not known."""
    return int(settings.address.rpartition(":")[2] or 0)


def run_flags(settings: ServiceSettings) -> list[str]:
    """Return the flags of the command `run` that the settings add."""
    return [*(["--web.listen-address", settings.listen] if settings.listen else []), *split_words(settings.arguments)]


def service_command(python: str, settings: ServiceSettings, base: PureWindowsPath) -> str:
    """Return the command line of the service: the program in quotes, and each word so that Windows reads it back."""
    flags = run_flags(settings)
    words = ["-X", "utf8", *_place_words(settings.name, base), *(["--"] if flags else []), *flags]
    return f'"{python}" {subprocess.list2cmdline(words)}'


def is_command_of(command: str, name: str, base: PureWindowsPath) -> bool:
    """Whether the command line of a service is that of an installation in this folder."""
    return f" {subprocess.list2cmdline(_place_words(name, base))} ".casefold() in f"{command} ".casefold()


def _place_words(name: str, base: PureWindowsPath) -> list[str]:
    return ["-m", "exporter", "service", "run", "--name", name, "--base", str(base)]


def folder_of_program(python: PureWindowsPath) -> PureWindowsPath | None:
    r"""Return the folder above `app` for `…\app\python\python.exe`; None for another installation of Python."""
    return python.parents[2] if [part.casefold() for part in python.parts[-3:-1]] == ["app", "python"] else None


def is_program_of(python: PureWindowsPath, base: PureWindowsPath) -> bool:
    r"""Whether this is `app\python\python.exe` of an installation in this folder; Windows ignores the case."""
    return python == base / "app" / "python" / "python.exe"
