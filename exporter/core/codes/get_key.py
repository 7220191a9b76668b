"""Codes 3400 to 3412: reading the key from the vault's response."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_dba, for_vault
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    FIND_DEVICE,
    FIND_INTERCEPTION,
    NOT_A_VAULT,
    REWRITTEN,
    SERVICE_DEFECT,
    SUPPORT,
    WITHOUT_THE_KEY,
    out_of_memory_row,
)

_SHOW_KEY = for_vault("Show the key as the vault stores it: `az keyvault key show --vault-name VAULT --name KEY`.")
_OUTCOME = "SQL Server cannot use the key, although the key itself may be intact."


def _no_answer(code: int, symbol: str, summary: str, cause: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.GET_KEY,
        category=Category.PROTOCOL,
        owner=Owner.NETWORK,
        summary=f"{summary} {_OUTCOME}",
        effect=WITHOUT_THE_KEY,
        causes=(cause, REWRITTEN, NOT_A_VAULT, SERVICE_DEFECT),
        actions=(
            for_dba("Show the response: `ekm-exporter probe TARGET`."),
            FIND_INTERCEPTION,
            FIND_DEVICE,
            _SHOW_KEY,
            DO_NOT_RESTART,
        ),
    )


def _incomplete(code: int, symbol: str, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=Layer.GET_KEY,
        category=Category.PROTOCOL,
        owner=Owner.VAULT,
        summary=f"{summary} {_OUTCOME}",
        effect=WITHOUT_THE_KEY,
        causes=(*causes, SERVICE_DEFECT, NOT_A_VAULT),
        actions=(_SHOW_KEY, for_dba("Repeat the request: `ekm-exporter probe TARGET`."), FIND_DEVICE, DO_NOT_RESTART, SUPPORT),
    )


GET_KEY: tuple[ConnectorError, ...] = (
    out_of_memory_row(
        3400, "ErrorGetKeyByNameOutOfMemoryConvertResponseString", Layer.GET_KEY, "converting the description of a key to text"
    ),
    out_of_memory_row(3401, "ErrorGetKeyByNameOutOfMemoryConcatPath", Layer.GET_KEY, "building the URL of a key"),
    out_of_memory_row(
        3402, "ErrorGetKeyByNameOutOfMemoryConcatHeader", Layer.GET_KEY, "building the header of a request for a key"
    ),
    _no_answer(
        3403,
        "ErrorGetKeyByNameNoResponse",
        "The vault reported success for the key but sent no data.",
        "A proxy, scanner or filter emptied the response.",
    ),
    _no_answer(
        3404,
        "ErrorGetKeyByNameJsonParser",
        "The response to the request for the key is not JSON.",
        "A proxy returned its login or block page with status 200.",
    ),
    _incomplete(
        3405,
        "ErrorGetKeyByNameExtractKeyNode",
        "The response is JSON but contains no `key` object.",
        "The URL leads to a secret, a certificate, or an API gateway with another response format.",
    ),
    _incomplete(
        3406,
        "ErrorGetKeyByNameExtractKeyId",
        "The key in the response lacks `kid`, its identifier.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3407,
        "ErrorGetKeyByNameExtractKeyType",
        "The key in the response lacks `kty`, its type.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3408,
        "ErrorGetKeyByNameExtractKeyN",
        "The key in the response has no modulus (`n`). Every RSA key has one.",
        "In SQL Server: the key has another type (EC, oct), which the connector does not support.",
    ),
    _incomplete(
        3409,
        "ErrorGetKeyByNameBase64DecodeN",
        "The modulus (`n`) of the key is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _incomplete(
        3410,
        "ErrorGetKeyByNameExtractKeyE",
        "The key in the response has no public exponent (`e`). Every RSA key has one.",
        "A gateway removes fields from the response.",
    ),
    _incomplete(
        3411,
        "ErrorGetKeyByNameBase64DecodeE",
        "The public exponent (`e`) of the key is not valid Base64.",
        "The response was altered or truncated in transit.",
    ),
    _incomplete(
        3412,
        "ErrorGetKeyByNameExtractKeyUri",
        "The identifier of the key (`kid`) is not the URL of a key version, so no wrap request can be built.",
        "A gateway rewrites URLs in the response.",
    ),
)
