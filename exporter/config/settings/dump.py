"""The effective configuration as YAML: includes, defaults, absolute paths.

The result is a valid configuration again. It contains the places of secrets, never secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import yaml

from exporter.config.settings.metadata import dump
from exporter.config.settings.model import Config
from exporter.config.settings.module import Module


def dump_yaml(config: Config) -> str:
    """Write the whole configuration, in its own order."""
    return "".join(effective_pieces(config))


def effective_pieces(config: Config) -> Iterator[str]:
    """Yield that text in pieces of a few entries.

    Thousands of targets at once would take close to a second.
    """
    yield _yaml({"global": dump(config.settings)})
    yield from _entries("credentials", ({name: dump(each)} for name, each in config.credentials.items()))
    yield from _entries("modules", ({name: dump(each)} for name, each in config.modules.items()))
    yield from _entries("targets", ([dump(each)] for each in config.targets.values()))
    if config.sql_servers:
        yield from _entries("sql_servers", ([dump(each)] for each in config.sql_servers.values()))


def effective_module(module: Module) -> str:
    """One module of that text, under its name."""
    return _yaml({module.name: dump(module)})


def _entries(section: str, entries: Iterable[Any]) -> Iterator[str]:
    heading = f"{section}:\n"
    yield heading
    for entry in entries:
        yield _yaml({section: entry}).removeprefix(heading)


def _yaml(data: Any) -> str:
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130)
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc] # libyaml if installed
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - an alias would be correct and unreadable
        return True
