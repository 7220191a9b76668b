"""The source that a network address belongs to.

Limits and counts are per source: connections, responses, wrong passwords. Logs show the address.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

_NETWORK_BITS = 64  # an IPv6 client can use any address of its /64 network


def source_of(address: str) -> str:
    """Return an IPv4 address unchanged, and the network of an IPv6 address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{int(found) >> (128 - _NETWORK_BITS):x}::"
