"""Is it a page of ours that sends this, and does the browser know us under a name of ours?

For: requests that change something, which a page of another site must not send; and answers on loopback, which a foreign name
that was made to point at 127.0.0.1 must not show to its owner (DNS rebinding).
Not for: who may come in (see `access`).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address

from aiohttp import hdrs

from exporter.core.cross_site import host_name, is_cross_site


def is_ours(host: str, external_host: str) -> bool:
    """True for an address, localhost, this machine's own name and the external URL's: names that no stranger can point at us.

    True as well for no name at all, which no browser sends.
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


def from_elsewhere(headers: Mapping[str, str], external_host: str, *, known_by_name: bool) -> bool:
    """True for a browser that was told to send this by another site. Programs send neither header, and are let through.

    `known_by_name`: whoever came in has shown who they are to the name in the address, so that no foreign name gains by it.
    """
    host = headers.get(hdrs.HOST, "")
    if is_cross_site(headers, (host, external_host)):
        return True
    from_a_browser = hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers
    return from_a_browser and not known_by_name and not is_ours(host, external_host)
