"""Codes 3200 to 3208: the `WWW-Authenticate` header of the vault's first response."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_INTERCEPTION,
    NOT_A_VAULT,
    REWRITTEN,
    SHOW_THE_SERVER,
    WITHOUT_THE_KEY,
    out_of_memory_row,
)


def _malformed(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.CHALLENGE,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} The connector gets no token, so SQL Server gets no key.",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, REWRITTEN, NOT_A_VAULT),
        actions=(SHOW_THE_SERVER, FIND_INTERCEPTION, DO_NOT_RESTART),
    )


_LITERAL = "The header is valid but uses another form or order. The connector only finds the literal text it searches for."

CHALLENGE: tuple[ConnectorError, ...] = (
    out_of_memory_row(3200, "ErrorGetAADValuesOutOfMemoryConcatPath", Layer.CHALLENGE, "building the URL of its first request"),
    _malformed(
        3201,
        "ErrorGetAADDomainUrlStartPosition",
        "The header of the vault's 401 does not start with `Bearer authorization=\"https://`. The connector needs it to find the sign-in host.",
        _LITERAL,
    ),
    _malformed(
        3202,
        "ErrorGetAADDomainUrlStopPosition",
        "The header of the vault's 401 has no closing quote after the sign-in URL.",
        "A proxy or gateway cut the header because of its length.",
    ),
    _malformed(
        3203,
        "ErrorGetAADDomainUrlMalformatted",
        "The sign-in URL in the header of the vault's 401 lacks its host or tenant.",
    ),
    out_of_memory_row(3204, "ErrorGetAADDomainUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the name of the sign-in host"),
    out_of_memory_row(3205, "ErrorGetAADTenantIdOutOfMemoryAlloc", Layer.CHALLENGE, "storing the tenant id"),
    _malformed(
        3206,
        "ErrorGetAKVResourceUrlStartPosition",
        "The header of the vault's 401 has no `resource=\"`, which names the service that the token is for.",
        _LITERAL,
    ),
    _malformed(
        3207,
        "ErrorGetAKVResourceUrlStopPosition",
        "The header of the vault's 401 has no closing quote after the resource.",
        "A proxy or gateway cut the header because of its length.",
    ),
    out_of_memory_row(
        3208, "ErrorGetAKVResourceUrlOutOfMemoryAlloc", Layer.CHALLENGE, "storing the resource for the token request"
    ),
)
