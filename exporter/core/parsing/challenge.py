"""Read the `WWW-Authenticate` header as literally as the connector does.

The connector searches for two literals and their closing quotes. A header in another form (`authorization_uri=`, another
order) is unreadable for SQL Server, so this parser rejects it too. `endpoints` decides whether the authority is trusted.
"""

from __future__ import annotations

import re

from exporter.core.faults import Fault
from exporter.core.model import Challenge

_AUTHORIZATION = 'Bearer authorization="https://'
_RESOURCE = 'resource="'
_AUTHORITY = re.compile(r"[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}")  # not "..", which would change the path of the sign-in


def read_challenge(header: str | None) -> tuple[Fault, Challenge | None]:
    """Return authority, tenant and resource of the header, or the fault."""
    if not header:
        return Fault.CHALLENGE_ABSENT, None
    if not header.startswith(_AUTHORIZATION):
        return Fault.CHALLENGE_NO_AUTHORIZATION, None
    authorization, closed, _ = header[len(_AUTHORIZATION) :].partition('"')
    if not closed:
        return Fault.CHALLENGE_OPEN_AUTHORIZATION, None
    host, _, path = authorization.partition("/")
    tenant = path.partition("/")[0]
    if not _AUTHORITY.fullmatch(host) or not _TENANT.fullmatch(tenant):
        return Fault.CHALLENGE_NO_TENANT, None
    _, found, rest = header.partition(_RESOURCE)
    if not found:
        return Fault.CHALLENGE_NO_RESOURCE, None
    resource, closed, _ = rest.partition('"')
    if not closed:
        return Fault.CHALLENGE_OPEN_RESOURCE, None
    return Fault.NONE, Challenge(authority=f"https://{host.lower()}", tenant=tenant, resource=resource)
