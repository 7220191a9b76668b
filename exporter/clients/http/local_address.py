"""The address of this host on the route to another one."""

from __future__ import annotations

import ipaddress
import socket

_PORT = 443  # any port: a socket for datagrams sends nothing when it connects


def local_address(destination: str) -> str | None:
    """Return the address from which this host reaches an IP address; None without a route. It sends nothing."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, _PORT))
            address = str(probe.getsockname()[0]).partition("%")[0]
    except OSError:
        return None
    return None if ipaddress.ip_address(address).is_unspecified else address
