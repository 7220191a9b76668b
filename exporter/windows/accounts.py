"""Accounts of Windows: their names and identifiers, members of local groups, and rights on files and folders."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterator
from ctypes import wintypes
from pathlib import Path

from exporter.windows.api import WindowsCallError, call, checked
from exporter.windows.rules import read_sid

_LONGEST = 256  # characters of a name
_GROUPS = (2, 4, 5)  # of a domain, local, known to every Windows
_ALL = 0xFFFFFFFF  # bytes of a list


def name_of(sid: str) -> tuple[str, bool]:
    r"""Return the name of a SID as DOMAIN\NAME, and whether it may be a group.

    The name is the SID itself if Windows does not know it.
    """
    name, domain = ctypes.create_unicode_buffer(_LONGEST), ctypes.create_unicode_buffer(_LONGEST)
    size, domain_size, kind = wintypes.DWORD(_LONGEST), wintypes.DWORD(_LONGEST), wintypes.DWORD()
    revision, authority, *parts = map(int, sid.split("-")[1:])
    data = bytes([revision, len(parts)]) + authority.to_bytes(6, "big") + struct.pack(f"<{len(parts)}I", *parts)
    sizes = (ctypes.byref(domain_size), ctypes.byref(kind))
    if not call("LookupAccountSidW", None, data, name, ctypes.byref(size), domain, *sizes):
        return sid, True
    return f"{domain.value}\\{name.value}" if domain.value else name.value, kind.value in _GROUPS


def members(group: str) -> tuple[str, ...]:
    """Return the SIDs of the direct members of a local group, by its name; none if there is no such group."""
    found, count, total = ctypes.c_void_p(), wintypes.DWORD(), wintypes.DWORD()
    counts = (ctypes.byref(count), ctypes.byref(total), None)
    failure = call("NetLocalGroupGetMembers", None, group.rpartition("\\")[2], 0, ctypes.byref(found), _ALL, *counts)
    if failure or not found.value:
        return ()
    try:
        addresses = (ctypes.c_void_p * count.value).from_address(found.value)
        return tuple(read_sid(ctypes.string_at(one, 8 + 4 * ctypes.string_at(one, 2)[1])) for one in addresses if one)
    finally:
        call("NetApiBufferFree", found)


def own_account() -> str:
    r"""Return the account of this process, as DOMAIN\NAME; empty if Windows does not know it."""
    name, size = ctypes.create_unicode_buffer(_LONGEST), wintypes.DWORD(_LONGEST)
    return name.value if call("GetUserNameExW", 2, name, ctypes.byref(size)) else ""


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
    sid, domain, text = ctypes.create_string_buffer(size.value), ctypes.create_unicode_buffer(512), wintypes.LPWSTR()
    where = (sid, ctypes.byref(size), domain, ctypes.byref(domain_size), ctypes.byref(kind))
    checked(f"find the account {account}", "LookupAccountNameW", None, account, *where)
    checked(f"read the account {account}", "ConvertSidToStringSidW", sid, ctypes.byref(text))
    try:
        return text.value or ""
    finally:
        call("LocalFree", text)


def _apply(path: Path, text: str, inheritance: int) -> None:
    descriptor, owner, rights, truth = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p(), ctypes.byref(wintypes.BOOL())
    convert = "ConvertStringSecurityDescriptorToSecurityDescriptorW"
    checked("read the rights", convert, text, _REVISION, ctypes.byref(descriptor), None)
    try:
        checked("read the rights", "GetSecurityDescriptorDacl", descriptor, truth, ctypes.byref(rights), truth)
        checked("read the owner", "GetSecurityDescriptorOwner", descriptor, ctypes.byref(owner), truth)
        what = _OWNER | _RIGHTS | inheritance
        if failed := call("SetNamedSecurityInfoW", str(path), _FILE, what, owner, None, rights, None):
            raise WindowsCallError(f"set the rights of {path}", failed)
    finally:
        call("LocalFree", descriptor)
