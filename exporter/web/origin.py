"""Checks against other sites: cross-site changes and foreign host names.

A page of another site must not change anything here. A foreign name that points at 127.0.0.1 must not show a response on loopback
to its owner (DNS rebinding).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address

from aiohttp import hdrs

from exporter.core.cross_site import host_name, is_cross_site


def is_own_name(host: str, external_host: str) -> bool:
    """Whether the host is one that no attacker can point at this exporter.

    These are IP addresses, localhost, this machine's name and the external URL's. An empty host counts too: no browser sends one.
    """
    name = host_name(host)
    if not name or name == "localhost" or name.endswith(".localhost"):
        return True
    if name in (host_name(external_host), socket.gethostname().lower().rstrip(".")):
        return True
    try:
        ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def is_cross_site_change(headers: Mapping[str, str], external_host: str, *, known_by_name: bool) -> bool:
    """Whether a page of another site sent this request.

    Programs send no such header and pass. `known_by_name`: every client is authenticated, so a foreign name gains nothing.
    """
    host = headers.get(hdrs.HOST, "")
    if is_cross_site(headers, (host, external_host)):
        return True
    from_a_browser = hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers
    return from_a_browser and not known_by_name and not is_own_name(host, external_host)
