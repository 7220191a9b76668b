"""The fix of a credential that is refused or expires soon, if another one is staged, or if it is a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.fixes import ALTER, Lines

OF_CERTIFICATE: Mapping[str, Lines] = MappingProxyType(
    {
        "credential_expiry": (
            "Create a new certificate and register it with the application, next to the present one:",
            "  az ad app credential reset --id CLIENT_ID --append --cert @CERTIFICATE.pem",
            "Then replace the exporter's certificate file. The exporter reads it again without a restart.",
        ),
    }
)


def switch_to(staged: str) -> Lines:
    """Return the lines that make the staged credential the current one."""
    return (
        f"The staged credential {staged} is usable. Give its secret to SQL Server, on every replica:",
        *ALTER[1:],
        f"Then set `credential: {staged}` in the configuration, and remove `next_credential`.",
    )


def prove_and_switch_to(staged: str) -> Lines:
    """Return the lines for a credential that expires soon while another one is staged."""
    return (
        f"The credential {staged} is staged. Test it first, on every SQL Server host:",
        f"  PROBE_AGAIN --credential {staged}",
        "If it passes, give its secret to SQL Server, on every replica:",
        *ALTER[1:],
        f"Then set `credential: {staged}` in the configuration, and remove `next_credential`.",
    )
