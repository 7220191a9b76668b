"""Rules of Windows that need no Windows. Pure.

Access lists (security identifiers, entries, who has all rights to a registry key), the settings of an installation with the command line
that follows, the plan of an installation, and the rights on its folders.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import struct
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PureWindowsPath
from typing import Any, Final, Literal

import msgspec

from exporter.core.names import is_device

FULL_CONTROL: Final = 0xF003F  # KEY_ALL_ACCESS
_GENERIC_ALL: Final = 0x10000000
_LIST_PRESENT: Final = 0x0004
_INHERITED_BY_KEYS: Final = 0x02
_INHERIT_ONLY: Final = 0x08
_ALLOW, _DENY = 0, 1

SYSTEM, LOCAL_SERVICE, NETWORK_SERVICE = "S-1-5-18", "S-1-5-19", "S-1-5-20"
ADMINISTRATORS: Final = "S-1-5-32-544"
_ALL_SERVICES: Final = "S-1-5-80-0"
# Everyone, LOCAL, Authenticated Users, This Organization, SERVICE: in the token of each service.
_SERVICE_GROUPS: Final = ("S-1-1-0", "S-1-2-0", "S-1-5-11", "S-1-5-15", "S-1-5-6")
# The names under which the service manager lists them.
BUILT_IN: Final = {
    "localsystem": SYSTEM,
    r"nt authority\system": SYSTEM,
    r"nt authority\localservice": LOCAL_SERVICE,
    r"nt authority\local service": LOCAL_SERVICE,
    r"nt authority\networkservice": NETWORK_SERVICE,
    r"nt authority\network service": NETWORK_SERVICE,
}
_SERVICE_DOMAIN: Final = "nt service\\"


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """An entry of an access list, for the identity `sid`."""

    sid: str
    rights: int
    allows: bool = True
    here: bool = True  # not only for the keys below
    below: bool = True  # keys below inherit the entry


def service_sid(name: str) -> str:
    r"""Return the SID of `NT SERVICE\name`, which Windows computes from the name."""
    digest = hashlib.sha1(name.upper().encode("utf-16-le"), usedforsecurity=False).digest()
    return "S-1-5-80-" + "-".join(str(part) for part in struct.unpack("<5I", digest))


def known_sid(account: str) -> str | None:
    """Return the SID of an account that every Windows has, or of a service's own account; None for any other."""
    name = account.casefold()
    if name.startswith(_SERVICE_DOMAIN):
        return service_sid(account[len(_SERVICE_DOMAIN) :])
    return BUILT_IN.get(name)


def token_sids(sid: str, service: str, *, with_service_sid: bool) -> frozenset[str]:
    """Return what the token of a service surely has: its account, its own SID, and groups of every service."""
    own = (service_sid(service), _ALL_SERVICES) if with_service_sid else ()
    return frozenset({sid, *_SERVICE_GROUPS, *own, *([ADMINISTRATORS] if sid == SYSTEM else [])})


def read_sid(data: bytes) -> str:
    """Return a SID as text. Raises ValueError if the bytes are none."""
    if len(data) < 8 or len(data) < 8 + 4 * data[1]:
        raise ValueError("no security identifier")
    authority = int.from_bytes(data[2:8], "big")
    return "-".join(["S", str(data[0]), str(authority), *map(str, struct.unpack_from(f"<{data[1]}I", data, 8))])


def read_access_list(descriptor: bytes) -> tuple[AccessEntry, ...] | None:
    """Return the entries of a self-relative security descriptor; None without a list, which gives everyone all rights.

    Raises ValueError if the bytes are no descriptor.
    """
    try:
        _, _, control, _, _, _, start = struct.unpack_from("<BBHIIII", descriptor)
        if not control & _LIST_PRESENT or not start:
            return None
        _, _, _, count, _ = struct.unpack_from("<BBHHH", descriptor, start)
        return tuple(_entries(descriptor, start + 8, count))
    except struct.error:
        raise ValueError("no security descriptor") from None


def _entries(data: bytes, place: int, count: int) -> Iterator[AccessEntry]:
    for _ in range(count):
        kind, flags, size, rights = struct.unpack_from("<BBHI", data, place)
        if kind in (_ALLOW, _DENY):
            yield AccessEntry(
                read_sid(data[place + 8 : place + size]),
                FULL_CONTROL if rights & _GENERIC_ALL else rights,
                allows=kind == _ALLOW,
                here=not flags & _INHERIT_ONLY,
                below=bool(flags & _INHERITED_BY_KEYS),
            )
        place += size


def has_full_control(entries: Collection[AccessEntry] | None, sids: Collection[str], *, below: bool = False) -> bool:
    """Return whether a token with these SIDs has all rights; `below`: to a new key below, by inheritance.

    Windows reads the entries in their order: the first one that names a right decides on it.
    """
    if entries is None:
        return True
    missing = FULL_CONTROL
    for entry in entries:
        if entry.sid in sids and (entry.below if below else entry.here):
            if not entry.allows and entry.rights & missing:
                return False
            missing &= ~entry.rights
    return not missing


def holders(entries: Collection[AccessEntry]) -> tuple[str, ...]:
    """Return the SIDs that have all rights by an entry."""
    allowed = (entry.sid for entry in entries if entry.allows and entry.here and entry.rights & FULL_CONTROL == FULL_CONTROL)
    return tuple(dict.fromkeys(allowed))


# A service of Windows, as its service manager has it.


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    name: str
    command: str  # the program with its arguments; a path with a blank is in quotes
    account: str  # that the service runs as

    def is_same(self, other: ServiceDefinition | None) -> bool:
        """Whether both run the same command as the same account; Windows ignores the case of an account."""
        return other is not None and (self.command, self.account.casefold()) == (other.command, other.account.casefold())


@dataclass(frozen=True, slots=True)
class ServiceState:
    """`STOPPED` and so on of `service`, and the exit code of a stopped service."""

    state: int
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class WindowsResponse:
    """A request by WinINet: the status of its response, or the error of Windows."""

    status: int | None
    error: int = 0


# What an installation was given, kept for the next one in `service.json`; and the command line that follows.

NONE = "none"  # the word that removes a kept value
EVERY_RULE = "all"  # the firewall takes this name for all of its rules
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,79}")
_ADDRESS = re.compile(r"\S*:\d{1,5}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(?<!\.)")
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
    found = msgspec.json.decode(text, type=ServiceSettings)
    if check_settings(found) or (found.address and not _ADDRESS.fullmatch(found.address)):
        raise ValueError("not possible as settings of a service")
    return found


def dump_settings(settings: ServiceSettings) -> str:
    return json.dumps(asdict(settings), indent=2) + "\n"


def merge(earlier: ServiceSettings, given: Mapping[str, str | Sequence[str] | None]) -> ServiceSettings:
    """Return the earlier settings with the given ones. An empty value keeps the earlier one, `none` removes it."""
    changed: dict[str, Any] = {name: value if isinstance(value, str) else tuple(value) for name, value in given.items() if value}
    return replace(earlier, **{name: type(value)() if value in (NONE, (NONE,)) else value for name, value in changed.items()})


def check_settings(settings: ServiceSettings) -> str:
    """Return what is wrong with the settings, or an empty text."""
    if problem := check_name(settings.name):
        return problem
    if settings.arguments.count('"') % 2:
        return f"a quote has no end: {settings.arguments}"
    for address in settings.prometheus:
        try:
            ipaddress.ip_network(address, strict=False)
        except ValueError:
            return f"{address!r} is not an address: write one such as 10.1.2.3 or 10.1.2.0/24"
    own = own_account(settings.name)
    if not settings.account or settings.account.casefold() == own.casefold() or _MANAGED_ACCOUNT.fullmatch(settings.account):
        return ""
    return (
        f"the service does not run as {settings.account!r}: use {own}, which is the default, or a group "
        r"managed service account such as CONTOSO\ekm$. A shared account such as LocalSystem could read more than it needs, and a "
        "password would have to be kept"
    )


def check_name(name: str) -> str:
    """Return why a text cannot be the name of a service, its firewall rule and event source, or an empty text."""
    if _NAME.fullmatch(name) and name.casefold() != EVERY_RULE:
        return ""
    return f"{name!r} is not a name for a service: write letters, digits and hyphens, and not the word {EVERY_RULE}"


def own_account(name: str) -> str:
    """Return the virtual account that Windows makes for a service: it has no password."""
    return rf"NT SERVICE\{name}"


def account(settings: ServiceSettings) -> str:
    return settings.account or own_account(settings.name)


def check_secret_name(name: str) -> str:
    """Return why a text cannot be the name of a secret file, or an empty text."""
    if _FILE_NAME.fullmatch(name) and not is_device(name):
        return ""
    return f"{name!r} is not a name for a secret file: write letters, digits, dots, hyphens and underscores"


def has_same_flags(one: ServiceSettings, other: ServiceSettings | None) -> bool:
    """Whether both give the command `run` the same flags."""
    return other is not None and run_flags(one) == run_flags(other)


def port_of(settings: ServiceSettings) -> int:
    """Return the port of the address, or 0 if the address is not known."""
    return int(settings.address.rpartition(":")[2] or 0)


def run_flags(settings: ServiceSettings) -> list[str]:
    """Return the flags of the command `run` that the settings add: split at blanks, as Windows does; double quotes keep a blank."""
    words = [word.replace('"', "") for word in _WORD.findall(settings.arguments)]
    return [*(["--web.listen-address", settings.listen] if settings.listen else []), *words]


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


# What an installation changes: a pure decision from what there is and what is wanted.


Change = Literal["program", "service", "configuration", "secrets", "firewall", "start"]
Action = Literal["nothing", "reload", "start", "restart"]  # what happens to the process of the service at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """What an installation finds on the host."""

    service: ServiceDefinition | None
    settings: ServiceSettings | None  # of an earlier installation
    is_running: bool


@dataclass(frozen=True, slots=True)
class InstallationPlan:
    changes: tuple[Change, ...]
    action: Action


def make_plan(
    found: Existing, service: ServiceDefinition, settings: ServiceSettings, changed_files: Collection[str], *, starts: bool
) -> InstallationPlan:
    """Return what changes, in the order in which it is reported.

    `changed_files` are relative to the folder of the installation. `starts`: the service is to run, and has a configuration.
    """
    before = found.settings
    secrets = [name for name in changed_files if name.startswith("secrets/")]
    changes: dict[Change, bool] = {
        "program": before is None or before.version != settings.version,
        "service": not service.is_same(found.service),
        "configuration": len(secrets) < len(changed_files),
        "secrets": bool(secrets),
        "firewall": _firewall(before) != _firewall(settings),
        "start": starts and not found.is_running,
    }
    action: Action = "nothing"
    if changes["start"]:
        action = "start"
    elif starts and (changes["program"] or changes["service"]):
        action = "restart"
    elif starts and changes["configuration"]:
        action = "reload"
    return InstallationPlan(tuple(change for change, is_due in changes.items() if is_due), action)


def _firewall(settings: ServiceSettings | None) -> tuple[str, ...]:
    """Return what the rule depends on; nothing without addresses, since there is no rule then."""
    return (settings.address, *settings.prometheus) if settings and settings.prometheus else ()


# Who may read and write the folders of an installation, as security descriptors (SDDL).

_READ, _READ_RUN, _MODIFY = "FR", "0x1200a9", "0x1301bf"
_USERS = "BU"
# Folders of the installation and the right of the service; "" is the installation itself. Administrators and the system have every right.
SERVICE_RIGHTS = {"": _READ_RUN, "secrets": _READ, "state": _MODIFY, "logs": _MODIFY}
PROGRAM = "app"  # every user may run the program: it has no secrets, and each service of the host runs it
ADMINISTRATORS_ONLY = "O:BAD:P(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)"  # administrators own it; only they and the system have rights


def folder_rights(service_sid: str) -> dict[str, str]:
    """Return the security descriptor of each folder; the outer folder comes first."""
    rights = {**{folder: (right, service_sid) for folder, right in SERVICE_RIGHTS.items()}, PROGRAM: (_READ_RUN, _USERS)}
    return {folder: f"{ADMINISTRATORS_ONLY}(A;OICI;{right};;;{who})" for folder, (right, who) in rights.items()}
