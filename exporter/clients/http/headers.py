"""Read response headers: dates, Retry-After, ids and the vault's diagnostics.

No function raises: a malformed header is None. A text with a known secret is None too, because these texts are only shown.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

from exporter.core.addresses import is_private
from exporter.core.known_secrets import reveals
from exporter.core.model import VaultHeaders
from exporter.core.parsing.key_vault import unix_time

LONGEST_RETRY_AFTER = 86400.0  # seconds; a larger value is reduced to it

_SECONDS = re.compile(r"[0-9]{1,32}(?:\.[0-9]{1,9})?")  # some services send a fraction
_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_REGION = re.compile(r"[A-Za-z][A-Za-z0-9 ]{0,63}")  # a label value: no address or id fits
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")


def server_time(headers: Mapping[str, str]) -> float | None:
    """Return the Date header as Unix time."""
    return _http_date(headers.get("Date") or "")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return Retry-After in seconds from now, between 0 and one day.

    A date is compared with the server's clock.
    """
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER)
    date = _http_date(text)
    if date is None:
        return None
    now = server_time(headers)
    return min(max(0.0, date - (time.time() if now is None else now)), LONGEST_RETRY_AFTER)


def request_id(headers: Mapping[str, str], trace_id: str | None = None) -> str | None:
    """Return the id of the header or of the body, for a support case."""
    return _matching(_ID, headers.get("x-ms-request-id")) or _matching(_ID, trace_id)


def claims_required(headers: Mapping[str, str]) -> bool:
    """Whether a 401 reports that continuous access evaluation revoked the token."""
    return 'error="insufficient_claims"' in (headers.get("WWW-Authenticate") or "")


def vault_headers(headers: Mapping[str, str]) -> VaultHeaders | None:
    """Return the vault's diagnostic headers; None if it sent none.

    Entra ID and Managed HSM send none.
    """
    region = _matching(_REGION, headers.get("x-ms-keyvault-region"))
    version = _matching(_WORD, headers.get("x-ms-keyvault-service-version"))
    connection = _connection(headers.get("x-ms-keyvault-network-info") or "")
    if region is None and version is None and connection is None:
        return None
    return _headers(region, version, connection)


@lru_cache(maxsize=256)
def _headers(region: str | None, version: str | None, connection: str | None) -> VaultHeaders:
    """Return one object for equal headers: a fleet keeps several of each target, and most are equal."""
    return VaultHeaders(region=region, service_version=version, connection=connection)


@lru_cache(maxsize=256)
def _connection(info: str) -> str | None:
    """Return `private` or `public`: the network path that the vault reports.

    It is `private` if the vault reports a private link or received a private client address.
    """
    fields = dict(field.partition("=")[::2] for field in info[:512].replace(" ", "").split(";"))
    if "private" in fields.get("conn_type", "").lower():
        return "private"
    private = is_private(fields.get("addr", ""))
    return None if private is None else "private" if private else "public"


@lru_cache(maxsize=256)
def _http_date(text: str) -> float | None:
    """Return the Unix time of an HTTP date; a date without a zone is in GMT."""
    try:
        date = parsedate_to_datetime(text) if len(text) <= 64 else None
        return None if date is None else unix_time((date if date.tzinfo is not None else date.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _matching(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) and not reveals(text) else None
