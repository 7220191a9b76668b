"""Why there is no token, in one line, and whether Entra ID refused the credential."""

from __future__ import annotations

from exporter.core.faults import Fault
from exporter.core.known_secrets import hide
from exporter.core.masking import mask
from exporter.core.model import Facts

_PASSING = frozenset({408, 429})  # a status below 500 that does not depend on the credential


def reason(facts: Facts) -> str:
    """Return a failure in one masked line."""
    words = [f"HTTP {facts.status}" if facts.fault is Fault.HTTP_STATUS else facts.fault.value.replace("_", " ")]
    words += [code for code in (facts.inner_code or facts.service_code,) if code is not None]
    words += [f"AADSTS{facts.aadsts}"] if facts.aadsts is not None else []
    return hide(" ".join(words)) + (f": {mask(facts.detail)}" if facts.detail else "")


def is_refusal(facts: Facts) -> bool:
    """Whether Entra ID refused the credential.

    Another request with the same secret gets the same answer.
    """
    status = facts.status or 0
    return facts.fault is Fault.HTTP_STATUS and 400 <= status < 500 and status not in _PASSING
