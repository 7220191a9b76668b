"""The tables of docs/securing.md, generated from those of `schema`."""

from __future__ import annotations

from docs.generators.configuration import field_table
from docs.generators.pages import GeneratedPart
from exporter.web import config_file

_SECTIONS = (
    ("The file", config_file.TOP),
    ("`tls_server_config`", config_file.TLS),
    ("`http_server_config`", config_file.HTTP),
    ("`http_server_config.headers`", config_file.HEADERS),
    ("`rate_limit`", config_file.RATE_LIMIT),
)


def keys() -> str:
    """A heading and a table for each section of the web configuration file."""
    return "\n\n".join(f"### {title}\n\n{field_table(fields)}" for title, fields in _SECTIONS)


PART = GeneratedPart("keys", keys)
