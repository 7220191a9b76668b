"""Which client a network address stands for.

For: limits and counts of one client: connections, answers, wrong passwords.
Not for: logs, which show the address itself.
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

_NETWORK_BITS = 64  # one client of IPv6 may use any address of such a network


def source_of(address: str) -> str:
    """The address itself, or its IPv6 network. IPv4 is the same on every listener."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return f"{int(found) >> (128 - _NETWORK_BITS):x}::"
