"""The document of a target that the state directory keeps, and back.

The document holds the kept facts of the record: last success and verdict, facts about key and vault, the last failures. It names the
vault and the keys that they are about, because the configuration may change while the exporter is down. Counters are left out:
Prometheus expects them to start at 0.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct

from exporter.core.values import Readiness
from exporter.knowledge.codes import BY_CODE
from exporter.knowledge.verdict import WHY
from exporter.state.record import (
    FACTS,
    KEPT,
    LETTERS,
    MAX_CHANGES,
    RECENT,
    SUMMARIES,
    TargetRecord,
    failed_among,
    same_scopes,
    subjects,
)


class DamagedError(ValueError):
    """The document is not one that `snapshot` made."""


def snapshot(record: TargetRecord) -> dict[str, Any]:
    """A document of plain JSON."""
    return {"subjects": [*subjects(record.target)], "facts": {name: _plain(getattr(record, name)) for name in KEPT}}


def restore(record: TargetRecord, document: Mapping[str, Any]) -> None:
    """Restore facts about the same vault and key into a record without a probe. Raises DamagedError, and then changes nothing."""
    try:
        found = {name: _reader(_hints(TargetRecord)[name])(document["facts"][name]) for name in KEPT}
        same = same_scopes(_exactly(list, document["subjects"]), record.target)
        _check_states(found["recent"], found["recent_failures"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamagedError(f"is damaged ({type(error).__name__})") from None
    found["last_failures"], found["changes"] = found["last_failures"][-SUMMARIES:], found["changes"][-MAX_CHANGES:]
    for name, value in found.items():
        if FACTS[name] in same:
            setattr(record, name, value)


def _check_states(recent: str, failures: tuple[object, ...]) -> None:
    if not set(recent) <= set(LETTERS.values()) or len(recent) > RECENT or len(failures) != failed_among(recent):
        raise ValueError("not the failures of these states")


def _plain(value: Any) -> Any:
    """Return a fact as plain JSON: an object as a mapping of its fields, a tuple as a list, bytes in base64."""
    if isinstance(value, (str, float, int, NoneType)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    values = value if isinstance(value, dict) else {name: getattr(value, name) for name in _hints(type(value))}
    return {name: _plain(each) for name, each in values.items()}


_hints: Any = cache(get_type_hints)
_YEAR_10000 = 253402300800


@cache
def _reader(kind: Any) -> Callable[[Any], Any]:
    """Return what reads a value of plain JSON as a type. It raises an error of a value or type, never with the value in its text."""
    parts = [_reader(each) for each in get_args(kind) if each not in (NoneType, Ellipsis)]
    if isinstance(kind, UnionType):  # of a type and None
        return lambda value: None if value is None else parts[0](value)
    if get_origin(kind) is dict:
        return lambda value: {parts[0](name): parts[1](each) for name, each in value.items()}
    if get_origin(kind) is tuple:
        return lambda value: tuple(map(parts[0], _exactly(list, value)))
    if is_dataclass(kind) or issubclass(kind, (Struct, tuple)):
        return partial(_object, kind, {name: _reader(hint) for name, hint in _hints(kind).items()})
    return _SIMPLE.get(kind) or (lambda value: kind(_text(value)))


def _object(kind: Any, readers: Mapping[str, Callable[[Any], Any]], value: Any) -> Any:
    """Return an object of these fields. Pages must be able to explain its code and its verdict, also those of another version."""
    named = dict(zip(readers, value, strict=True)) if isinstance(value, list) else value
    found = kind(**{name: read(named[name]) for name, read in readers.items()})
    code, why = getattr(found, "code", None), found.why if isinstance(found, Readiness) else "ready"
    if (code is not None and code not in BY_CODE) or why not in WHY:
        raise ValueError("no such code or verdict")
    return found


def _exactly(kind: type, value: object) -> Any:
    if type(value) is not kind:
        raise TypeError("another type")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    value.encode()  # a lone surrogate cannot be printed
    return value


def _time(value: object) -> float:
    """A Unix time that can be written as a date: pages and JSON do."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < _YEAR_10000:
        raise TypeError("not a time")
    return float(value)


def _bytes(value: object) -> bytes:
    return base64.b64decode(_text(value), validate=True)


_SIMPLE: dict[Any, Callable[[object], Any]] = {
    str: _text,
    float: _time,
    bytes: _bytes,
    int: partial(_exactly, int),
    bool: partial(_exactly, bool),
}
