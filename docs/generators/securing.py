"""The tables of docs/securing.md, generated from those of `schema`."""

from __future__ import annotations

from docs.generators.configuration import table
from docs.generators.pages import GeneratedPart
from exporter.web.webconfig import schema

_SECTIONS = (
    ("The file", schema.TOP),
    ("`tls_server_config`", schema.TLS),
    ("`http_server_config`", schema.HTTP),
    ("`http_server_config.headers`", schema.HEADERS),
    ("`rate_limit`", schema.RATE_LIMIT),
)


def keys() -> str:
    """A heading and a table for each section of the web configuration file."""
    return "\n\n".join(f"### {title}\n\n{table(fields)}" for title, fields in _SECTIONS)


PART = GeneratedPart("keys", keys)
