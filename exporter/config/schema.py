"""The keys of each section of a configuration file, derived from `settings`; the JSON Schema; the effective configuration as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from textwrap import indent
from typing import Any

import yaml

from exporter.config import fields
from exporter.config.fields import Field, FieldType, Json, Section, read_section
from exporter.config.settings import (
    NEEDS_CLIENT_ID,
    SOURCES,
    Config,
    Credential,
    Module,
    ModuleTls,
    Proxy,
    Retained,
    Settings,
    SqlServer,
    Target,
    dump,
    fields_of,
)
from exporter.config.tree import Location, Node, Type
from exporter.core.values import CredentialKind

GLOBAL, CREDENTIAL, MODULE, PROXY, TLS, TARGET, RETAINED, SQL_SERVER = (
    fields_of(model) for model in (Settings, Credential, Module, Proxy, ModuleTls, Target, Retained, SqlServer)
)
TARGET_DEFAULTS = tuple(field for field in TARGET if field.name != "name")
SQL_SERVER_DEFAULTS = tuple(field for field in SQL_SERVER if field.name != "address")


def _credential(node: Node, location: Location) -> Section | None:
    """A credential, by the fields of its type; by all fields if the type is unusable."""
    written = [value.text for key, value in node.entries if key.text == "type"] if node.type is Type.MAPPING else []
    kind = next((kind for kind in CredentialKind if kind in written[:1]), None)
    return read_section(node, location, CREDENTIAL, kind=kind, required=None if kind else ("type",))


def _credential_json() -> Json:
    """All keys, and for each type the keys that belong to it."""
    kinds = [
        {"if": {"properties": {"type": {"const": str(kind)}}, "required": ["type"]}, "then": _keys_json(kind)}
        for kind in CredentialKind
    ]
    return {**fields.object_json(CREDENTIAL, ["type"]), "allOf": kinds}


def _keys_json(kind: CredentialKind) -> Json:
    required = fields.required_of(CREDENTIAL, kind) + ["client_id"] * (kind in NEEDS_CLIENT_ID)
    json: Json = {"propertyNames": {"enum": [each.name for each in CREDENTIAL if each.belongs_to(kind)]}, "required": required}
    if kind in SOURCES:
        stem, needed = SOURCES[kind]
        both = [f"{stem}_file", f"{stem}_env"]
        json |= {"oneOf": [{"required": [name]} for name in both]} if needed else {"not": {"required": both}}
    return json


def _placed(node: Node, location: Location) -> tuple[str, Location] | None:
    written = fields.TEXT.read(node, location)
    return None if written is None else (written, location)


TOP: tuple[Field, ...] = (
    Field(name="global", kind=fields.section(GLOBAL), doc="Settings of the whole exporter; only in the main file."),
    Field(
        name="include",
        kind=fields.list_of(FieldType("path or pattern", _placed, fields.TEXT.json)),
        default="[]",
        doc="More files, by name or by a pattern with `*`, `?` and `[…]`, relative to the file that includes them.",
    ),
    Field(
        name="target_defaults",
        kind=fields.section(TARGET_DEFAULTS, required=()),
        doc="Any key of a target except its name, as a default for the targets of the same file. Labels are merged one by one.",
    ),
    Field(
        name="credentials",
        kind=fields.map_of(FieldType("credential", _credential, _credential_json()), "credentials by name"),
        doc="Identities that sign in at Entra ID, by name.",
    ),
    Field(
        name="modules",
        kind=fields.map_of(fields.section(MODULE), "modules by name"),
        doc="Sets of probe settings, by name; `default` always exists.",
    ),
    Field(
        name="targets",
        kind=fields.list_of(fields.section(TARGET, required=("name",))),
        doc="The vaults and keys to probe. At least one in all files together.",
    ),
    Field(
        name="sql_server_defaults",
        kind=fields.section(SQL_SERVER_DEFAULTS, required=()),
        doc="Any key of a SQL Server except its address, as a default for the SQL Servers of the same file.",
    ),
    Field(
        name="sql_servers",
        kind=fields.list_of(fields.section(SQL_SERVER)),
        default="[]",
        doc="The SQL Servers that `run` reads. Needs the extra `sql`.",
    ),
)


def schema_text() -> str:
    """Write the JSON Schema of one file, for editors.

    It follows draft 7, which every editor supports. Rules between two sections are not in it: `check` reports them.
    """
    heading = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of ekm-exporter"}
    return json.dumps({**heading, **fields.object_json(TOP)}, indent=1, ensure_ascii=False) + "\n"


# The effective configuration as YAML: includes, defaults, absolute paths.
#
# The result is a valid configuration again. It contains the places of secrets, never secrets.

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
