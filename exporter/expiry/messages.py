"""The reasons of failed lookups as text.

The same cause gives the same text, so that it is logged once. A text quotes only the codes of a response, masked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.credential_expiry import LookupResult
from exporter.core.faults import Fault
from exporter.core.masking import mask
from exporter.core.model import Facts

# Advice by HTTP status.
GRAPH_ACTIONS: Final[Mapping[int, str]] = {
    401: "the token was not accepted",
    403: "the lookup credential needs the application permission Application.Read.All, with admin consent",
    404: "the tenant has no application and no service principal with that client id",
}
KEY_VAULT_ACTIONS: Final[Mapping[int, str]] = {
    401: "the token was not accepted",
    403: "the lookup credential needs the secret permission list (RBAC: secrets/readMetadata), or the vault's firewall blocks this host",
    404: "the vault has no such secret",
}
_NO_ACTIONS: Final[Mapping[int, str]] = {}


def failed(note: str) -> LookupResult:
    """Return the result of a failed lookup: the last known expiry is kept."""
    return LookupResult(answered=False, note=mask(note))


def failure_of(service: str, facts: Facts, actions: Mapping[int, str] = _NO_ACTIONS) -> LookupResult:
    """Return the result of a lookup that failed at this exchange with `service`.

    The text of `service` is not masked.
    """
    if facts.fault is not Fault.HTTP_STATUS:
        return LookupResult(answered=False, note=f"{service}: {facts.fault.replace('_', ' ')}")
    aadsts = None if facts.aadsts is None else f"AADSTS{facts.aadsts}"
    codes = ", ".join(code for code in (facts.service_code, facts.inner_code, aadsts) if code)
    what = f"{service} answered HTTP {facts.status}" + (f" ({codes})" if codes else "")
    todo = actions.get(facts.status or 0)
    return failed(f"{what}: {todo}" if todo else what)
