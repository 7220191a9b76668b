"""Detect requests that a browser sends on behalf of another site.

The listener defines its own hosts. `exporter.web.access` controls the access of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final

# A browser sends these to any host without a preflight request; none is JSON or curl's default.
FORM_TYPES: Final = frozenset({"text/plain", "multipart/form-data"})


def host_name(host: str) -> str:
    """Return the lower-case name of a `Host` header, without its port."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def is_loopback(name: str) -> bool:
    """Return True for localhost and loopback addresses."""
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def is_cross_site(headers: Mapping[str, str], hosts: Iterable[str]) -> bool:
    """Return True if a browser reports another site as the origin.

    Programs send neither header. `headers` is case-insensitive. `hosts` are the listener's own, each with its port if the
    browser shows one.
    """
    origin, fetched = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    own = {f"{scheme}://{name}" for scheme in ("http", "https") for name in hosts if name}
    return fetched not in (None, "none", "same-origin") or (origin is not None and origin not in own)
