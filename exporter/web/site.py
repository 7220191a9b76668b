"""Is it a page of ours that sends this, and does the browser know us under a name of ours?

For: requests that change something, which a page of another site must not send; and answers on loopback, which a foreign name
that was made to point at 127.0.0.1 must not show to its owner (DNS rebinding).
Not for: who may come in (see `door`).
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from ipaddress import ip_address

from aiohttp import hdrs


def host_name(host: str) -> str:
    """The name of a `Host` header, lower case, without port, brackets and final dot."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


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
    origin, fetched = headers.get(hdrs.ORIGIN), headers.get("Sec-Fetch-Site")
    if origin is None and fetched is None:
        return False
    host = headers.get(hdrs.HOST, "")
    own = {f"{scheme}://{name}" for scheme in ("http", "https") for name in (host, external_host) if name}
    if fetched not in (None, "none", "same-origin") or (origin is not None and origin not in own):
        return True
    return not known_by_name and not is_ours(host, external_host)
