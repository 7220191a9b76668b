"""The readings of SQL Servers as JSON, in pieces.

One of a large server has many thousands of rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from exporter.core.durations import moment
from exporter.tde.reading_document import reading_values
from exporter.tde.sql_reading import SqlServerReading

_ROWS: Final = 100  # that are encoded at once


def readings_json(readings: Iterable[SqlServerReading], *, now: float) -> Iterator[str]:
    """Yield the whole response in short pieces."""
    yield f'{{"at": "{moment(now)}", "sql_servers": ['
    for number, reading in enumerate(readings):
        yield ", " if number else ""
        yield from _value_pieces(reading_values(reading))
    yield "]}"


def _value_pieces(value: Any) -> Iterator[str]:
    """Yield the JSON of a value.

    A tuple has flat rows, which are encoded many at once.
    """
    if isinstance(value, dict):
        yield "{"
        for number, (name, each) in enumerate(value.items()):
            yield f"{', ' if number else ''}{json.dumps(name)}: "
            yield from _value_pieces(each)
        yield "}"
    elif isinstance(value, list):
        yield "["
        for number, each in enumerate(value):
            yield ", " if number else ""
            yield from _value_pieces(each)
        yield "]"
    elif isinstance(value, tuple):
        yield "["
        for at in range(0, len(value), _ROWS):
            yield (", " if at else "") + json.dumps(value[at : at + _ROWS])[1:-1]
        yield "]"
    else:
        yield json.dumps(value)
