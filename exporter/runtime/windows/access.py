"""Rights on files and folders, and the security identifier (SID) of an account."""

from __future__ import annotations

import ctypes
import stat
from collections.abc import Iterator
from ctypes import wintypes
from pathlib import Path
from typing import Any

from exporter.runtime.windows.api import WindowsCallError, checked, function

_FILE, _OWNER, _RIGHTS, _PROTECTED, _INHERITING = 1, 0x1, 0x4, 0x80000000, 0x20000000
_REVISION = 1
_NAME_SURROGATE = 0x20000000  # of the tags of junctions, symbolic links and others that point elsewhere; compressed files lack it
_INHERITED = "O:BAD:"  # administrators own it, and it has the rights of its folder alone


def set_folder_access(folder: Path, descriptor: str, *, keep: tuple[Path, ...] = ()) -> None:
    """Give a folder exactly these rights, and all in it the same, except in the folders `keep`. Raises OSError.

    `descriptor` is in the security descriptor definition language (SDDL). A link is refused before anything is changed:
    it would give the rights to something else.
    """
    _refuse_link(folder)
    inside = tuple(_inside(folder, keep))
    _apply(folder, descriptor, _PROTECTED)
    for path in inside:
        _apply(path, _INHERITED, _INHERITING)


def _inside(folder: Path, keep: tuple[Path, ...]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path not in keep:
            _refuse_link(path)
            yield path
            if path.is_dir():
                yield from _inside(path, keep)


def _refuse_link(path: Path) -> None:
    found = path.lstat()
    points_elsewhere = stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) & _NAME_SURROGATE
    if points_elsewhere or (stat.S_ISREG(found.st_mode) and found.st_nlink > 1):
        raise OSError(f"{path} is a link, whose rights are those of another file or folder: delete it, then run this again")


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
