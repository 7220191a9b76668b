"""Addresses of private networks."""

from __future__ import annotations

import ipaddress

# RFC 1918, shared address space of providers (RFC 6598), link-local and unique local addresses.
_PRIVATE = tuple(
    ipaddress.ip_network(net)
    for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10")
)


def is_private(address: str) -> bool | None:
    """Whether an IP address belongs to a private network; None if it is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(mapped.version == net.version and mapped in net for net in _PRIVATE)
