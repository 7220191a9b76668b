"""The reference part of docs/configuration.md, written from the tables of `schema`.

For: `python -m exporter.config.reference docs/configuration.md`, which a maintainer runs after changing a table, and the
test that says when nobody did.
Not for: the rest of that page.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from exporter.config import schema
from exporter.config.sections import Field
from exporter.config.top import TOP

BEGIN = "<!-- reference: written by `python -m exporter.config.reference docs/configuration.md` -->"
END = "<!-- end of the reference -->"

SECTIONS: tuple[tuple[str, Sequence[Field]], ...] = (
    ("The file", TOP),
    ("`global`", schema.GLOBAL),
    ("`credentials.NAME`", schema.CREDENTIAL),
    ("`modules.NAME`", schema.MODULE),
    ("`modules.NAME.proxy`", schema.PROXY),
    ("`modules.NAME.tls`", schema.TLS),
    ("`targets[]`", schema.TARGET),
    ("`targets[].retained[]`", schema.RETAINED),
)


def reference() -> str:
    """A heading and a table for each section."""
    return "\n\n".join(f"### {title}\n\n{table(fields)}" for title, fields in SECTIONS)


def refreshed(page: str) -> str:
    """The page with its reference written anew. Raises ValueError if the page has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page needs a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n\n{reference()}\n\n{END}{after}"


def table(fields: Sequence[Field]) -> str:
    """One row for each field, in Markdown."""
    rows = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [f"| `{field.name}` | {field.kind.says} | {_default(field)} | {_meaning(field)} |" for field in fields]
    return "\n".join(rows)


def _default(field: Field) -> str:
    if field.required:
        return "**required**"
    # A default with spaces is a sentence, any other a value as it would be written.
    return field.default if " " in field.default or "`" in field.default or not field.default else f"`{field.default}`"


def _meaning(field: Field) -> str:
    if not field.types:
        return field.doc
    return f"{field.doc} Only with {', '.join(f'`{kind}`' for kind in field.types)}."


def main(arguments: Sequence[str]) -> None:
    """Rewrite the reference in the given pages."""
    for argument in arguments:
        path = Path(argument)
        path.write_text(refreshed(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
