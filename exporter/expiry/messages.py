"""Why a look-up brought nothing, in our own words: the same words for the same cause, so that a log says it once.

For: the notes of findings. Of somebody else's text only the codes are quoted, and masked.
Not for: codes of the connector: a look-up is no step of a probe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporter.core.credential_expiry import LookupResult
from exporter.core.faults import Fault
from exporter.core.masking import mask
from exporter.core.model import Facts

# What to do about a refusal, by HTTP status.
GRAPH_ADVICE: Final[Mapping[int, str]] = {
    401: "the token was not taken",
    403: "the asking identity needs the application permission Application.Read.All, with admin consent",
    404: "the tenant has no application and no service principal of that client id",
}
KEY_VAULT_ADVICE: Final[Mapping[int, str]] = {
    401: "the token was not taken",
    403: "the asking identity needs the secret permission list (RBAC: secrets/readMetadata), or the vault's firewall is closed",
    404: "the vault has no such secret",
}
_NO_ADVICE: Final[Mapping[int, str]] = {}


def failed(note: str) -> LookupResult:
    """The look-up failed: what was known stays."""
    return LookupResult(answered=False, note=mask(note))


def failure_of(whom: str, facts: Facts, advice: Mapping[int, str] = _NO_ADVICE) -> LookupResult:
    """A look-up that failed at this exchange with `whom`."""
    if facts.fault is not Fault.HTTP_STATUS:
        return failed(f"{whom}: {facts.fault.replace('_', ' ')}")
    aadsts = None if facts.aadsts is None else f"AADSTS{facts.aadsts}"
    codes = ", ".join(code for code in (facts.service_code, facts.inner_code, aadsts) if code)
    what = f"{whom} answered HTTP {facts.status}" + (f" ({codes})" if codes else "")
    todo = advice.get(facts.status or 0)
    return failed(f"{what}: {todo}" if todo else what)
