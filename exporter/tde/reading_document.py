"""A reading of a SQL Server as JSON values, and back.

The API, its clients and the state directory use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from exporter.core.durations import moment, unix_time
from exporter.tde.document import PROOF_SECTIONS, Document, as_json, document_from
from exporter.tde.document_merge import is_good
from exporter.tde.fields import MESSAGE, Row
from exporter.tde.sql_reading import SqlServerReading

LOGS: Final = "logs"
_LONGEST_ADDRESS = 512  # characters of an address or a label
_NEVER_READ = "the exporter has not read it yet"


def reading_values(reading: SqlServerReading) -> dict[str, Any]:
    """Return JSON values.

    Times are RFC 3339, to the millisecond; `attempted_at` is null before the first attempt.

    Rows are tuples, as in `as_json`.
    """
    earlier = reading.earlier_logs
    return {
        "address": reading.address,
        "sql_instance": reading.sql_instance,
        "host": reading.host,
        "contested": reading.contested,
        "attempted_at": moment(reading.attempted_at) if reading.attempted_at else None,
        "failure": reading.failure,
        "refused": reading.refused,
        "read_at": {section: moment(at) for section, at in reading.read_at.items()},
        "earlier_logs": None if earlier is None else [moment(earlier[0]), earlier[1]],
        "stalled": {name: [moment(at), rate] for name, (at, rate) in reading.stalled.items()},
        "document": None if reading.document is None else as_json(reading.document),
    }


def reading_from(values: Any) -> SqlServerReading:
    """Return the reading of parsed JSON. Raises ValueError if it is damaged.

    A damaged section is an error of that section, and has no time.
    """
    try:
        address, refused, contested = _text(values, "address"), values["refused"], values["contested"]
        if not address or not isinstance(refused, bool) or not isinstance(contested, bool):
            raise ValueError("no reading")  # noqa: TRY301 - as any other damage
        reading = SqlServerReading(
            address=address,
            sql_instance=_text(values, "sql_instance"),
            host=_text(values, "host"),
            attempted_at=0.0 if values["attempted_at"] is None else unix_time(values["attempted_at"]),
            failure=_text(values, "failure", MESSAGE),
            refused=refused,
            contested=contested,
        )
        times, logs, stops = values["read_at"].items(), values["earlier_logs"], values["stalled"].items()
        if values["document"] is None:
            return reading
        document = _document(values["document"])
        read_at = {section: unix_time(at) for section, at in times if is_good(document, section)}
        stalled = {str(name): (unix_time(at), float(rate)) for name, (at, rate) in stops}
        earlier_logs = None if logs is None else _earlier_logs(logs)
        return replace(reading, document=document, read_at=read_at, earlier_logs=earlier_logs, stalled=stalled)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from None


def inventory_document(reading: SqlServerReading) -> Document:
    """Return what an inventory has of a reading: no section of proof.sql.

    A server that was never read is a failure.
    """
    document = reading.document
    if document is None:
        return Document(address=reading.address, failure=reading.failure or _NEVER_READ)
    return replace(
        document,
        address=reading.address,
        sections=_without_proofs(document.sections),
        errors=_without_proofs(document.errors),
        kept=_without_proofs(document.kept),
    )


def _without_proofs(values: Mapping[str, Any]) -> dict[str, Any]:
    return {section: value for section, value in values.items() if section not in PROOF_SECTIONS}


def _text(values: Mapping[str, Any], name: str, longest: int = _LONGEST_ADDRESS) -> str:
    value = values[name]
    if not isinstance(value, str):
        raise TypeError
    return value[:longest]


def _document(value: Any) -> Document:
    document = document_from(value)
    if document.failure is not None:
        raise ValueError(document.failure)
    return document


def _earlier_logs(value: Any) -> tuple[float, tuple[Row, ...]] | None:
    """Return the rows of the reading before, checked as those of the section are."""
    at, rows = value
    checked = document_from({**as_json(Document()), "sections": [{"section": LOGS, "rows": rows}]}).sections.get(LOGS)
    return None if checked is None else (unix_time(at), checked)
