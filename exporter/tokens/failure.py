"""Why there is no token, in one line, and whether Entra ID refused the credential."""

from __future__ import annotations

from exporter.config.settings import Credential
from exporter.core.faults import Fault
from exporter.core.known_secrets import hide
from exporter.core.masking import mask
from exporter.core.model import Facts

_REFUSALS = frozenset({400, 401, 403})  # any other status does not depend on the credential


def reason(facts: Facts) -> str:
    """Return a failure in one masked line."""
    words = [f"HTTP {facts.status}" if facts.fault is Fault.HTTP_STATUS else facts.fault.value.replace("_", " ")]
    words += [code for code in (facts.inner_code or facts.service_code,) if code is not None]
    words += [f"AADSTS{facts.aadsts}"] if facts.aadsts is not None else []
    return hide(" ".join(words)) + (f": {mask(facts.detail)}" if facts.detail else "")


def is_refusal(facts: Facts, credential: Credential) -> bool:
    """Whether Entra ID refused the secret or certificate of this credential.

    Another request with the same one gets the same answer.
    """
    return credential.has_own_secret and facts.fault is Fault.HTTP_STATUS and facts.status in _REFUSALS
