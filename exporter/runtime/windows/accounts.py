"""Names of accounts of Windows, and members of local groups."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import wintypes

from exporter.core.windows_host.access_list import read_sid
from exporter.runtime.windows.api import function

_LONGEST = 256  # characters of a name
_GROUPS = (2, 4, 5)  # of a domain, local, known to every Windows
_TEXT, _DWORD, _POINTER = wintypes.LPCWSTR, wintypes.LPDWORD, ctypes.c_void_p


def name_of(sid: str) -> tuple[str, bool]:
    r"""Return the name of a SID as DOMAIN\NAME, and whether it may be a group.

    The name is the SID itself if Windows does not know it.
    """
    look_up = function("advapi32", "LookupAccountSidW", wintypes.BOOL, _TEXT, _POINTER, _TEXT, _DWORD, _TEXT, _DWORD, _DWORD)
    name, domain = ctypes.create_unicode_buffer(_LONGEST), ctypes.create_unicode_buffer(_LONGEST)
    sizes, kind = (wintypes.DWORD(_LONGEST), wintypes.DWORD(_LONGEST)), wintypes.DWORD()
    data = _sid_bytes(sid)
    found = look_up(None, data, name, ctypes.byref(sizes[0]), domain, ctypes.byref(sizes[1]), ctypes.byref(kind))
    if not found:
        return sid, True
    full = f"{domain.value}\\{name.value}" if domain.value else name.value
    return full, kind.value in _GROUPS


def members(group: str) -> tuple[str, ...]:
    """Return the SIDs of the direct members of a local group, by its name; none if there is no such group."""
    read = function(
        "netapi32",
        "NetLocalGroupGetMembers",
        wintypes.DWORD,
        *(_TEXT, _TEXT, wintypes.DWORD, _POINTER, wintypes.DWORD, _DWORD, _DWORD, _POINTER),
    )
    release = function("netapi32", "NetApiBufferFree", wintypes.DWORD, _POINTER)
    found, count, total = _POINTER(), wintypes.DWORD(), wintypes.DWORD()
    failure = read(
        None, group.rpartition("\\")[2], 0, ctypes.byref(found), 0xFFFFFFFF, ctypes.byref(count), ctypes.byref(total), None
    )
    if failure or not found.value:
        return ()
    try:
        return tuple(_sids(found.value, count.value))
    finally:
        release(found)


def own_account() -> str:
    r"""Return the account of this process, as DOMAIN\NAME; empty if Windows does not know it."""
    read = function("secur32", "GetUserNameExW", wintypes.BOOLEAN, ctypes.c_int, _TEXT, _DWORD)
    name, size = ctypes.create_unicode_buffer(_LONGEST), wintypes.DWORD(_LONGEST)
    return name.value if read(2, name, ctypes.byref(size)) else ""


def _sids(start: int, count: int) -> Iterator[str]:
    """Read an array of pointers to SIDs."""
    for address in (ctypes.c_void_p * count).from_address(start):
        if address:
            size = 8 + 4 * ctypes.string_at(address, 2)[1]
            yield read_sid(ctypes.string_at(address, size))


def _sid_bytes(sid: str) -> bytes:
    _, revision, authority, *parts = sid.split("-")
    numbers = b"".join(int(part).to_bytes(4, "little") for part in parts)
    return bytes([int(revision), len(parts)]) + int(authority).to_bytes(6, "big") + numbers
