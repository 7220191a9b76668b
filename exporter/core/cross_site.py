"""Tells which requests a browser sends because another site told it to.

Pure rules on headers: the listener decides which hosts are its own.
Not for: access of users (see `exporter.web.access`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

# A browser sends these to any host without asking that host first; none of them is JSON or what curl sends by default.
FORM_TYPES: Final = frozenset({"text/plain", "multipart/form-data"})


def host_name(host: str) -> str:
    """The name of a `Host` header, lower case, without port, brackets and final dot."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def is_loopback(name: str) -> bool:
    """True for localhost and loopback addresses: names that no stranger can point at this host."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_cross_site(headers: Mapping[str, str], hosts: Iterable[str]) -> bool:
    """True if a browser says that another site sent the request. Programs send neither header and pass.

    `headers` is case-insensitive. `hosts` are the listener's own, each with its port if the browser shows one.
    """
    origin, fetched = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    own = {f"{scheme}://{name}" for scheme in ("http", "https") for name in hosts if name}
    return fetched not in (None, "none", "same-origin") or (origin is not None and origin not in own)
