"""The flags of `check` and the reference in docs/configuration.md, generated from its parser and the tables of `schema`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docs.generators.flags import flags
from docs.generators.pages import GeneratedPart, table
from exporter.config import schema
from exporter.config.fields import Field

SECTIONS: tuple[tuple[str, Sequence[Field]], ...] = (
    ("The file", schema.TOP),
    ("`global`", schema.GLOBAL),
    ("`credentials.NAME`", schema.CREDENTIAL),
    ("`modules.NAME`", schema.MODULE),
    ("`modules.NAME.proxy`", schema.PROXY),
    ("`modules.NAME.tls`", schema.TLS),
    ("`targets[]`", schema.TARGET),
    ("`targets[].retained_versions[]`", schema.RETAINED),
    ("`sql_servers[]`", schema.SQL_SERVER),
)


def reference() -> str:
    """A heading and a table for each section."""
    return "\n\n".join(f"### {title}\n\n{field_table(fields)}" for title, fields in SECTIONS)


def field_table(fields: Iterable[Field]) -> str:
    """Return one row for each field."""
    return table(("key", "value", "default", "meaning"), map(_row, fields))


def _row(field: Field) -> tuple[str, ...]:
    return f"`{field.name}`", field.kind.type_name, _default(field), field.meaning


def _default(field: Field) -> str:
    if field.required:
        return "**required**"
    return f"`{field.default}`" if field.has_literal_default else field.default


PARTS = (GeneratedPart("flags", lambda: flags("check")), GeneratedPart("reference", reference))
