"""Names of files that Windows does not keep as they are written."""

from __future__ import annotations

import re

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file; before Windows 11, con.yml is the console too.
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\..*)?", re.IGNORECASE | re.DOTALL)


def is_device(name: str) -> bool:
    """Whether Windows opens a device by this name of a file, in every folder."""
    return _DEVICE.fullmatch(name) is not None
