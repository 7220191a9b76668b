"""Detect requests that a browser sends on behalf of another site.

The listener defines its own hosts. `exporter.web.access` controls the access of users.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final, NamedTuple
from urllib.parse import urlsplit

# A browser sends these to any host without a preflight request; none is JSON or curl's default.
FORM_TYPES: Final = frozenset({"text/plain", "multipart/form-data"})

# RFC 3986, without user information: an address in brackets, or a name; then a port.
_AUTHORITY: Final = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9._~-]{1,64})?)\]|(?P<name>[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*)\.?)"
    r"(?::(?P<port>[0-9]{0,5}))?"
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_HIGHEST_PORT: Final = 65535


class Authority(NamedTuple):
    """Host and port of a URL or a `Host` header; the name is in lower case, without brackets and a final dot."""

    name: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Return host and port; None for anything else, such as user information."""
    found = _AUTHORITY.fullmatch(text.strip(" \t"))
    if found is None or int(found["port"] or 0) > _HIGHEST_PORT:
        return None
    port = int(found["port"]) if found["port"] else None
    if found["address"] is None:
        return Authority(found["name"].lower(), port)
    address = _address(found["address"])
    return None if address is None or ":" not in address else Authority(address, port)


def is_address(name: str) -> bool:
    """Return whether a name is an IP address in its usual form; `0x7f.1` and `2130706433` are names."""
    return _address(name) is not None


def is_loopback(host: str) -> bool:
    """Return whether a `Host` header names localhost or a loopback address."""
    authority = parse_authority(host)
    if authority is None:
        return False
    return authority.name == "localhost" or (is_address(authority.name) and ip_address(authority.name).is_loopback)


def is_cross_site(headers: Mapping[str, str], hosts: Iterable[str]) -> bool:
    """Return True if a browser reports another site as the origin.

    Programs send none of these headers. `headers` is case-insensitive. `hosts` are the listener's own, each with its port if
    the browser shows one.
    """
    own = [authority for host in hosts if host and (authority := parse_authority(host)) is not None]
    if headers.get("Sec-Fetch-Site") not in (None, "none", "same-origin"):
        return True
    # An old browser sends only the page's address.
    origin = headers.get("Origin", headers.get("Referer"))
    return origin is not None and not any(_is_of(origin, authority) for authority in own)


def _is_of(origin: str, host: Authority) -> bool:
    """Return whether an origin names this host; a port that one of them omits is the default of the scheme."""
    try:
        url = urlsplit(origin)
    except ValueError:
        return False
    default, authority = _DEFAULT_PORTS.get(url.scheme), parse_authority(url.netloc)
    if default is None or authority is None:
        return False
    return (authority.name, authority.port or default) == (host.name, host.port or default)


def _address(text: str) -> str | None:
    """Return an IP address in its shortest form, or None."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None
