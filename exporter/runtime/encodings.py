"""Bytes of text: what other programs write, and what they read."""

from __future__ import annotations

import codecs
import io
import sys

from exporter.runtime.process import is_windows
from exporter.runtime.windows.console import output_code_page


def decoded(data: bytes) -> str:
    """Decode what sqlcmd, PowerShell, reg and editors write. A wrong guess breaks a checksum.

    A part of a UTF-16 file, such as lines that findstr found, has no mark at its beginning.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    plain = data.replace(b"\0", b"")
    try:
        return plain.decode("utf-8-sig")
    except UnicodeDecodeError:
        return plain.decode("cp1252", "replace")


def adapt_output() -> None:
    """Write a character that the encoding of the output lacks as its number.

    Pipes and files of Windows get what PowerShell and cmd read there, the code page of the console: Python would take that of the system.
    """
    read = _code_page() if is_windows() and not sys.flags.utf8_mode else None
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else read, errors="backslashreplace")


def _code_page() -> str:
    encoding = f"cp{output_code_page()}"
    try:
        codecs.lookup(encoding)
    except LookupError:
        return "utf-8"
    return encoding
