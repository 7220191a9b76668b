"""Access lists of Windows: security identifiers, entries, and who has all rights to a registry key."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

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
    own = {service_sid(service), _ALL_SERVICES} if with_service_sid else set()
    of_system = {ADMINISTRATORS} if sid == SYSTEM else set()
    return frozenset({sid, *_SERVICE_GROUPS} | own | of_system)


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
