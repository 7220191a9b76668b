"""The effective configuration as YAML: includes, defaults, absolute paths.

The result is a valid configuration again. It contains the places of secrets, never secrets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from textwrap import indent
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
        parts = _parts(dump(entry), "  " if is_list else "    ")
        yield f"-{next(parts)[1:]}" if is_list else _yaml({name: None}, "  ").replace(": null\n", ":\n")
        yield from parts


def _parts(fields: Mapping[str, Any], start: str) -> Iterator[str]:
    """Yield a few fields or values at once; each line begins with `start`."""
    few = dict[str, Any]()
    for name, value in fields.items():
        if not isinstance(value, dict | list) or len(value) <= _MOST_VALUES:
            few[name] = value
            continue
        if few:
            yield _yaml(few, start)
            few = {}
        yield f"{start}{name}:\n"
        values = iter(value.items() if isinstance(value, dict) else value)
        for _ in range(0, len(value), _MOST_VALUES):
            yield _yaml(type(value)(islice(values, _MOST_VALUES)), f"{start}  " if isinstance(value, dict) else start)
    if few:
        yield _yaml(few, start)


def _yaml(data: Any, start: str = "") -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130 - len(start))
    return indent(text, start)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # libyaml if installed
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an alias would be correct and unreadable
        return True
