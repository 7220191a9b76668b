"""Accounts of Windows: their names and identifiers, members of local groups, and rights on files and folders."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from ctypes import wintypes
from pathlib import Path
from typing import Any

from exporter.windows.api import WindowsCallError, checked, function
from exporter.windows.rules import read_sid

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


# Rights on files and folders.

_FILE, _OWNER, _RIGHTS, _PROTECTED, _INHERITING = 1, 0x1, 0x4, 0x80000000, 0x20000000
_REVISION = 1
_NAME_SURROGATE = 0x20000000  # of the tags of junctions, symbolic links and others that point elsewhere; compressed files lack it
_INHERITED = "O:BAD:"  # administrators own it, and it has the rights of its folder alone


def set_folder_access(folder: Path, descriptor: str, *, keep: tuple[Path, ...] = ()) -> None:
    """Give a folder exactly these rights, and all in it the same, except in the folders `keep`. Raises OSError.

    `descriptor` is in the security descriptor definition language (SDDL). A link is refused before anything is changed:
    it would give the rights to something else.
    """
    _mode_of_no_link(folder)
    inside = tuple(_inside(folder, keep))
    _apply(folder, descriptor, _PROTECTED)
    for path in inside:
        _apply(path, _INHERITED, _INHERITING)


def _inside(folder: Path, keep: tuple[Path, ...]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path not in keep:
            mode = _mode_of_no_link(path)
            yield path
            if stat.S_ISDIR(mode):
                yield from _inside(path, keep)


def is_link(found: os.stat_result) -> bool:
    """Whether this is a symbolic link or a junction; `found` is from `lstat`."""
    return stat.S_ISLNK(found.st_mode) or bool(getattr(found, "st_reparse_tag", 0) & _NAME_SURROGATE)


def _mode_of_no_link(path: Path) -> int:
    found = path.lstat()
    if is_link(found) or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
        raise OSError(f"{path} is a link, whose rights are those of another file or folder: delete it, then run this again")
    return found.st_mode


def account_sid(account: str) -> str:
    """Return the SID of an account as text. Raises WindowsCallError."""
    size, domain_size, kind = wintypes.DWORD(128), wintypes.DWORD(512), wintypes.DWORD()
    sid, domain = ctypes.create_string_buffer(size.value), ctypes.create_unicode_buffer(domain_size.value)
    pointer = ctypes.c_void_p
    types = (wintypes.LPCWSTR, wintypes.LPCWSTR, pointer, pointer, pointer, pointer, pointer)
    look_up = function("advapi32", "LookupAccountNameW", wintypes.BOOL, *types)
    sizes = (ctypes.byref(domain_size), ctypes.byref(kind))
    checked(f"find the account {account}", look_up(None, account, sid, ctypes.byref(size), domain, *sizes))
    text = wintypes.LPWSTR()
    convert = function("advapi32", "ConvertSidToStringSidW", wintypes.BOOL, pointer, pointer)
    checked(f"read the account {account}", convert(sid, ctypes.byref(text)))
    try:
        return text.value or ""
    finally:
        _free(text)


def _apply(path: Path, text: str, inheritance: int) -> None:
    pointer, number = ctypes.c_void_p, wintypes.DWORD
    descriptor, owner, rights = pointer(), pointer(), pointer()
    convert = function(
        "advapi32",
        "ConvertStringSecurityDescriptorToSecurityDescriptorW",
        wintypes.BOOL,
        wintypes.LPCWSTR,
        number,
        pointer,
        pointer,
    )
    checked("read the rights", convert(text, _REVISION, ctypes.byref(descriptor), None))
    try:
        truth = ctypes.byref(wintypes.BOOL())
        get_rights = function("advapi32", "GetSecurityDescriptorDacl", wintypes.BOOL, *[pointer] * 4)
        checked("read the rights", get_rights(descriptor, truth, ctypes.byref(rights), truth))
        get_owner = function("advapi32", "GetSecurityDescriptorOwner", wintypes.BOOL, *[pointer] * 3)
        checked("read the owner", get_owner(descriptor, ctypes.byref(owner), truth))
        change = function("advapi32", "SetNamedSecurityInfoW", number, wintypes.LPCWSTR, number, number, *[pointer] * 4)
        failed = change(str(path), _FILE, _OWNER | _RIGHTS | inheritance, owner, None, rights, None)
        if failed:
            raise WindowsCallError(f"set the rights of {path}", failed)
    finally:
        _free(descriptor)


def _free(memory: Any) -> None:
    function("kernel32", "LocalFree", ctypes.c_void_p, ctypes.c_void_p)(memory)
