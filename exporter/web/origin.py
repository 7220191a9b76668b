"""Checks against other sites: cross-site changes and foreign host names.

A page of another site must not change anything here. A foreign name that points at 127.0.0.1 must not show a response on loopback
to its owner (DNS rebinding).
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import hdrs

from exporter.core.cross_site import is_address, is_cross_site, parse_authority
from exporter.runtime.computer import computer_name


def is_own_name(host: str, external_host: str) -> bool:
    """Whether the host is one that no attacker can point at this exporter.

    Such hosts are IP addresses, localhost, this machine's name and the external URL's. An empty host counts too: no browser sends one.
    """
    if not host:
        return True
    authority = parse_authority(host)
    if authority is None:
        return False
    name, external = authority.name, parse_authority(external_host)
    if name == "localhost" or name.endswith(".localhost") or is_address(name):
        return True
    return name == computer_name() or (external is not None and name == external.name)


def is_cross_site_change(headers: Mapping[str, str], external_host: str, *, known_by_name: bool) -> bool:
    """Whether a page of another site sent this request.

    Programs send no such header and pass. `known_by_name`: every client is authenticated, so a foreign name gains nothing.
    """
    host = headers.get(hdrs.HOST, "")
    if is_cross_site(headers, (host, external_host)):
        return True
    from_a_browser = any(name in headers for name in (hdrs.ORIGIN, hdrs.REFERER, "Sec-Fetch-Site"))
    return from_a_browser and not known_by_name and not is_own_name(host, external_host)
