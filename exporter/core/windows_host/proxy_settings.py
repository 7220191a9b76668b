"""Proxy settings of WinINet and WinHTTP, from the registry, and the route to one host."""

from __future__ import annotations

import fnmatch
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

_BY_PROXY, _BY_SCRIPT, _DETECTED = 2, 4, 8  # flags of a connection
_LONGEST: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """How requests leave: direct if all are empty. `script` is the URL of a proxy script."""

    proxy: str = ""
    bypass: str = ""
    script: str = ""
    detects: bool = False  # searches for a script in the network (WPAD)

    def __str__(self) -> str:
        parts = (
            self.proxy and f"through {self.proxy}" + (f" except {self.bypass}" if self.bypass else ""),
            self.script and f"by the script {self.script}",
            self.detects and "automatic detection",
        )
        return ", ".join(part for part in parts if part) or "direct"

    def route(self, host: str) -> str | None:
        """Return host and port of the proxy for https, empty if the host is reached directly; None if a script decides."""
        if self.script or self.detects:
            return None
        proxy = _https_proxy(self.proxy)
        return "" if not proxy or _is_bypassed(host, self.bypass) else proxy


def read_connection(data: bytes) -> ProxySettings:
    """Read `DefaultConnectionSettings` of WinINet or `WinHttpSettings`. Raises ValueError if the bytes are neither.

    The layout is published nowhere: a size, a counter, flags, then texts after their lengths. WinHTTP has two texts, WinINet three.
    """
    try:
        _, _, flags = struct.unpack_from("<III", data)
        proxy, bypass, script = _texts(data)
    except (struct.error, UnicodeDecodeError):
        raise ValueError("no settings of a connection") from None
    return ProxySettings(
        proxy=proxy if flags & _BY_PROXY else "",
        bypass=bypass if flags & _BY_PROXY else "",
        script=script if flags & _BY_SCRIPT else "",
        detects=bool(flags & _DETECTED),
    )


def _texts(data: bytes) -> Iterator[str]:
    place = 12
    for number in range(3):
        if number == 2 and len(data) < place + 4:
            yield ""
            return
        (length,) = struct.unpack_from("<I", data, place)
        if length > min(_LONGEST, len(data) - place - 4):
            raise struct.error
        yield data[place + 4 : place + 4 + length].decode("ascii")
        place += 4 + length


def read_values(values: Mapping[str, object]) -> ProxySettings | None:
    """Read the values of the key `Internet Settings`; None if they have no setting."""
    if not any(name in values for name in ("ProxyEnable", "AutoConfigURL")):
        return None
    on = values.get("ProxyEnable") == 1
    return ProxySettings(
        proxy=str(values.get("ProxyServer", "")) if on else "",
        bypass=str(values.get("ProxyOverride", "")) if on else "",
        script=str(values.get("AutoConfigURL", "")),
    )


def with_values(connection: ProxySettings, values: Mapping[str, object]) -> ProxySettings:
    """Return the settings of an account: a proxy or script in its values, which scripts write alone, else its connection.

    Only the connection shows whether WinINet searches for a script.
    """
    found = read_values(values)
    return replace(found, detects=connection.detects) if found and (found.proxy or found.script) else connection


def _https_proxy(servers: str) -> str:
    """Return the proxy for https of a list such as `http=a:80;https=b:443`, or of one for all."""
    for server in servers.replace(" ", ";").split(";"):
        scheme, named, address = server.rpartition("=")
        if server and (not named or scheme.casefold() == "https"):
            return address.partition("://")[2] or address
    return ""


def _is_bypassed(host: str, bypass: str) -> bool:
    name = host.partition(":")[0].casefold()
    for pattern in bypass.casefold().replace(" ", ";").split(";"):
        plain = pattern.partition("://")[2] or pattern
        if plain == "<local>" and "." not in name:
            return True
        if plain and (fnmatch.fnmatchcase(name, plain) or fnmatch.fnmatchcase(host.casefold(), plain)):
            return True
    return False
