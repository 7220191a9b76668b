"""The 146 codes of the SQL Server Connector: one table by layer, and its lookups.

For: `CODES`, in code order, and finding rows. Codes and symbols are the connector's; the texts are this product's.
Not for: choosing the code of a failure (see `classify`), or printing rows (see `explain.render`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from exporter.core.codes.backup import BACKUP
from exporter.core.codes.challenge import CHALLENGE
from exporter.core.codes.connector_inputs import INPUTS
from exporter.core.codes.credential import CREDENTIAL
from exporter.core.codes.dns_and_retry import NAME_AND_RETRY
from exporter.core.codes.engine import ENGINE
from exporter.core.codes.get_key import GET_KEY
from exporter.core.codes.http_connection import HTTP_CONNECTION
from exporter.core.codes.http_status import HTTP_STATUS
from exporter.core.codes.model import Category, ConnectorError, Family, Layer, Owner
from exporter.core.codes.token_step import TOKEN_STEP
from exporter.core.codes.wrap_unwrap import WRAP_UNWRAP

if TYPE_CHECKING:
    from exporter.core.model import Generation

__all__ = [
    "BY_CODE",
    "CODES",
    "Category",
    "ConnectorError",
    "Family",
    "Layer",
    "Owner",
    "both_numbers",
    "find",
    "generation_code",
]

CODES: tuple[ConnectorError, ...] = tuple(
    sorted(
        (
            *ENGINE,
            *INPUTS,
            *HTTP_CONNECTION,
            *HTTP_STATUS,
            *CHALLENGE,
            *TOKEN_STEP,
            *GET_KEY,
            *BACKUP,
            *WRAP_UNWRAP,
            *CREDENTIAL,
            *NAME_AND_RETRY,
        ),
        key=lambda row: row.code,
    )
)
BY_CODE: Mapping[int, ConnectorError] = MappingProxyType({row.code: row for row in CODES})


def generation_code(code: int, generation: Generation) -> int:
    """Return the number that a target of `generation` reports for `code`.

    Only the 20 codes with a counterpart change; `code` may be either number of a pair. Raises KeyError for an unknown code.
    """
    row = BY_CODE[code]
    if row.counterpart is None or row.generation.value == generation.value:
        return code
    return row.counterpart


def both_numbers(code: int) -> str:
    """Return the number with its counterpart, if it has one.

    3077 gives "3077 (3113 on connector 1.0.5.0)", and 3900 gives "3900". The given number comes first: 3113 gives "3113 (3077
    before connector 1.0.5.0)". Raises KeyError for an unknown code.
    """
    row = BY_CODE[code]
    if row.counterpart is None:
        return str(code)
    when = "on" if row.generation is Family.CLASSIC else "before"
    return f"{code} ({row.counterpart} {when} connector 1.0.5.0)"


def find(text: str) -> tuple[ConnectorError, ...]:
    """Return the rows with this number or symbol, ignoring case and blanks.

    A number finds one row. A symbol of two counterparts finds both, the classic one first.
    """
    wanted = text.strip().casefold()
    return tuple(row for row in CODES if wanted in (str(row.code), row.symbol.casefold()))
