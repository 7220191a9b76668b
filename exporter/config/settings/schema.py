"""The keys of each section of a configuration file, derived from the model.

The settings themselves are in `model`, `credential`, `module`, `target` and `sql_server`.
"""

from __future__ import annotations

import json

from exporter.config.settings.credential import NEEDS_CLIENT_ID, SOURCES, Credential
from exporter.config.settings.metadata import fields_of
from exporter.config.settings.model import Settings
from exporter.config.settings.module import Module, ModuleTls, Proxy
from exporter.config.settings.sql_server import SqlServer
from exporter.config.settings.target import Retained, Target
from exporter.config.yaml import Field, FieldType, Location, Mapping, Node, Scalar, Section, read_section, require, types
from exporter.config.yaml.types import Json
from exporter.core.model import CredentialKind

GLOBAL, CREDENTIAL, MODULE, PROXY, TLS, TARGET, RETAINED, SQL_SERVER = (
    fields_of(model) for model in (Settings, Credential, Module, Proxy, ModuleTls, Target, Retained, SqlServer)
)
TARGET_DEFAULTS = tuple(field for field in TARGET if field.name != "name")
SQL_SERVER_DEFAULTS = tuple(field for field in SQL_SERVER if field.name != "address")
# From keys that name another section's entry to that section.
REFERENCES = {
    field.name: field.kind.refers_to for field in (*CREDENTIAL, *TARGET, *RETAINED, *SQL_SERVER) if field.kind.refers_to
}


def _credential(node: Node, location: Location) -> Section | None:
    """A credential, by the fields of its type; by all fields if the type is unusable."""
    if not isinstance(node, Mapping):
        return read_section(node, location, CREDENTIAL)
    written = next((value for key, value in node.entries if key.text == "type"), None)
    known = {str(kind): kind for kind in CredentialKind}
    kind = known.get(written.text) if isinstance(written, Scalar) else None
    section = read_section(node, location, CREDENTIAL, kind=kind)
    if section is not None:
        require(section, CREDENTIAL if kind else CREDENTIAL[:1], kind=kind)
    return section


def _credential_json() -> Json:
    """All keys, and for each type the keys that belong to it."""
    kinds = [
        {"if": {"properties": {"type": {"const": str(kind)}}, "required": ["type"]}, "then": _keys_json(kind)}
        for kind in CredentialKind
    ]
    return {**types.object_json(CREDENTIAL, ["type"]), "allOf": kinds}


def _keys_json(kind: CredentialKind) -> Json:
    fitting = [field for field in CREDENTIAL if field.belongs_to(kind)]
    required = [field.name for field in fitting if field.required] + ["client_id"] * (kind in NEEDS_CLIENT_ID)
    json: Json = {"propertyNames": {"enum": [field.name for field in fitting]}, "required": required}
    if kind in SOURCES:
        stem, needed = SOURCES[kind]
        both = [f"{stem}_file", f"{stem}_env"]
        json |= {"oneOf": [{"required": [name]} for name in both]} if needed else {"not": {"required": both}}
    return json


def _module(node: Node, location: Location) -> Section | None:
    section = read_section(node, location, MODULE)
    if section is not None and (proxy := section.get("proxy")) is not None:
        require(proxy, PROXY)
    return section


def _placed(node: Node, location: Location) -> tuple[str, Location] | None:
    written = types.TEXT.read(node, location)
    return None if written is None else (written, location)


TOP: tuple[Field, ...] = (
    Field(name="global", kind=types.section(GLOBAL), doc="Settings of the whole exporter; only in the main file."),
    Field(
        name="include",
        kind=types.list_of(FieldType("path or pattern", _placed, types.TEXT.json)),
        default="[]",
        doc="More files, by name or by a pattern with `*`, `?` and `[…]`, relative to the file that includes them.",
    ),
    Field(
        name="target_defaults",
        kind=types.section(TARGET_DEFAULTS, required=()),
        doc="Any key of a target except its name, as a default for the targets of the same file. Labels are merged one by one.",
    ),
    Field(
        name="credentials",
        kind=types.map_of(FieldType("credential", _credential, _credential_json()), "credentials by name"),
        doc="Identities that sign in at Entra ID, by name.",
    ),
    Field(
        name="modules",
        kind=types.map_of(FieldType("module", _module, types.object_json(MODULE)), "modules by name"),
        doc="Sets of probe settings, by name; `default` always exists.",
    ),
    Field(
        name="targets",
        kind=types.list_of(types.section(TARGET, required=("name",))),
        doc="The vaults and keys to probe. At least one in all files together.",
    ),
    Field(
        name="sql_server_defaults",
        kind=types.section(SQL_SERVER_DEFAULTS, required=()),
        doc="Any key of a SQL Server except its address, as a default for the SQL Servers of the same file.",
    ),
    Field(
        name="sql_servers",
        kind=types.list_of(types.section(SQL_SERVER)),
        default="[]",
        doc="The SQL Servers that `run` reads. Needs the extra `sql`.",
    ),
)


def schema_text() -> str:
    """Write the JSON Schema of one file, for editors.

    It follows draft 7, which every editor supports. Rules between two sections are not in it: `check` reports them.
    """
    heading = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of ekm-exporter"}
    return json.dumps({**heading, **types.object_json(TOP)}, indent=1, ensure_ascii=False) + "\n"
