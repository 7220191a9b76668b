"""The effective configuration as YAML: includes, defaults, absolute paths.

The result is a valid configuration again. It contains the places of secrets, never secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import yaml

from exporter.config.settings.metadata import dump
from exporter.config.settings.model import Config
from exporter.config.settings.module import Module

_MOST_VALUES = 50  # of one field that are written at once: about a third of a millisecond


def dump_yaml(config: Config) -> str:
    """Write the whole configuration, in its own order."""
    return "".join(effective_pieces(config))


def effective_pieces(config: Config) -> Iterator[str]:
    """Yield that text in pieces of a few lines.

    Thousands of targets at once would take close to a second, and thousands of addresses of one module tens of milliseconds.
    """
    yield _yaml({"global": dump(config.settings)})
    yield from _entries("credentials", config.credentials)
    yield from _entries("modules", config.modules)
    yield from _entries("targets", config.targets, is_list=True)
    if config.sql_servers:
        yield from _entries("sql_servers", config.sql_servers, is_list=True)


def effective_module(module: Module) -> str:
    """One module of that text, under its name."""
    return _yaml({module.name: dump(module)})


def _entries(section: str, entries: Mapping[str, Any], *, is_list: bool = False) -> Iterator[str]:
    yield f"{section}:\n"
    for name, entry in entries.items():
        for number, (part, written) in enumerate(_parts(dump(entry))):
            lines = 1 + written + (number > 0 and not is_list)  # that an earlier piece has: section, name of the entry, field
            text = _yaml({section: [part] if is_list else {name: part}}).split("\n", lines)[lines]
            yield text if number == 0 or text.startswith(" ") else f"  {text.removeprefix('- ')}"


def _parts(fields: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield a few fields or values at once, each with the number of lines that an earlier part has: the name of the field."""
    few = dict[str, Any]()
    for name, value in fields.items():
        if not isinstance(value, dict | list) or len(value) <= _MOST_VALUES:
            few[name] = value
            continue
        if few:
            yield few, 0
            few = {}
        values = iter(value.items() if isinstance(value, dict) else value)
        for number in range(0, len(value), _MOST_VALUES):
            yield {name: type(value)(islice(values, _MOST_VALUES))}, int(number > 0)
    if few:
        yield few, 0


def _yaml(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130)
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # libyaml if installed
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an alias would be correct and unreadable
        return True
