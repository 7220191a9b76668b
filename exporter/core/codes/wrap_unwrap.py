"""Codes 3600 to 3609 (wrap) and 3700 to 3709 (unwrap): one exchange each."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_dba
from exporter.core.codes.shared import (
    DO_NOT_RESTART,
    EVENT_LOG,
    FIND_DEVICE,
    FIND_INTERCEPTION,
    NOT_A_VAULT,
    REWRITTEN,
    SERVICE_DEFECT,
    SUPPORT,
    WITHOUT_THE_KEY,
    WITHOUT_WRAP,
    out_of_memory_row,
)

_STAKES = {
    Layer.WRAP_KEY: "SQL Server cannot encrypt or rotate with this key.",
    Layer.UNWRAP_KEY: "SQL Server cannot decrypt its database keys.",
}
_EFFECTS = {Layer.WRAP_KEY: WITHOUT_WRAP, Layer.UNWRAP_KEY: WITHOUT_THE_KEY}
_CAREFUL = {
    Layer.WRAP_KEY: for_dba("Postpone rotation and new encrypted databases until a probe succeeds."),
    Layer.UNWRAP_KEY: DO_NOT_RESTART,
}


def _unusable(code: int, symbol: str, layer: Layer, owner: Owner, summary: str, *causes: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.PROTOCOL,
        owner=owner,
        summary=f"{summary} {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(*causes, SERVICE_DEFECT),
        actions=(
            for_dba("Show the response: `ekm-exporter probe TARGET`."),
            _CAREFUL[layer],
            FIND_INTERCEPTION,
            FIND_DEVICE,
            SUPPORT,
        ),
    )


def _not_encoded(code: int, symbol: str, layer: Layer, what: str) -> ConnectorError:
    return ConnectorError(
        code=code,
        symbol=symbol,
        layer=layer,
        category=Category.HOST,
        owner=Owner.DBA,
        summary=f"The connector could not encode {what}. No request was sent to the vault. {_STAKES[layer]}",
        effect=_EFFECTS[layer],
        causes=(
            "The SQL Server process is low on memory, or Windows cryptographic functions fail on this host.",
            "SQL Server passed an empty or damaged key.",
        ),
        actions=(EVENT_LOG, "Repeat the statement. If it fails on this host only, compare builds with a working host."),
        unobservable_because="The connector encodes before anything is sent. The exporter uses its own encoder.",
    )


def _inside(layer: Layer, first: int, symbol: str, *, request: str, given: str) -> tuple[ConnectorError, ...]:
    """Build the codes of one operation inside SQL Server; `request` is its name with an article, `given` the key that is sent."""
    encoded = f"an encoded {request.rsplit(maxsplit=1)[-1]}"
    return (
        out_of_memory_row(first, f"{symbol}OutOfMemoryConvertResponseString", layer, f"converting {request} response to text"),
        out_of_memory_row(first + 1, f"{symbol}OutOfMemoryConcatPath", layer, f"building the URL of {request} request"),
        out_of_memory_row(first + 2, f"{symbol}OutOfMemoryConcatHeader", layer, f"building the header of {request} request"),
        out_of_memory_row(first + 3, f"{symbol}OutOfMemoryConcatBody", layer, f"building the body of {request} request"),
        out_of_memory_row(first + 4, f"{symbol}OutOfMemoryConvertEncodedBody", layer, f"converting {encoded} request"),
        _not_encoded(first + 5, f"{symbol}Base64EncodeKey", layer, given),
    )


def _response_codes(layer: Layer, first: int, symbol: str, word: str) -> tuple[ConnectorError, ...]:
    """Build the codes of the responses to one operation."""
    decoded = f"The `value` in the vault's {word} response is not valid Base64."
    page = f"The {word} response reports success but is not JSON."
    absent = f"The vault's {word} response has no `value`, the {word}ped key."
    empty = f"The {word} response reports success but is empty."
    altered, login = (
        "The response was altered or truncated in transit.",
        "A proxy returned its login or block page with status 200.",
    )
    gateway = "A gateway removes fields from the response, or sends its own format."
    emptied = "A proxy, scanner or filter emptied the response."
    return (
        _unusable(first, f"{symbol}Base64DecodeValue", layer, Owner.VAULT, decoded, altered),
        _unusable(first + 1, f"{symbol}JsonParser", layer, Owner.NETWORK, page, login, REWRITTEN),
        _unusable(first + 2, f"{symbol}ExtractValue", layer, Owner.VAULT, absent, gateway, NOT_A_VAULT),
        _unusable(first + 3, f"{symbol}NoResponse", layer, Owner.NETWORK, empty, emptied, NOT_A_VAULT),
    )


WRAP_UNWRAP: tuple[ConnectorError, ...] = (
    *_inside(Layer.WRAP_KEY, 3600, "ErrorWrapKey", request="a wrap", given="the key to be wrapped"),
    *_response_codes(Layer.WRAP_KEY, 3606, "ErrorWrapKey", "wrap"),
    *_inside(Layer.UNWRAP_KEY, 3700, "ErrorUnwrapKey", request="an unwrap", given="the wrapped key"),
    *_response_codes(Layer.UNWRAP_KEY, 3706, "ErrorUnwrapKey", "unwrap"),
)
