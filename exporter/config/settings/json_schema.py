"""The JSON Schema of a configuration file, for editors."""

from __future__ import annotations

import json

from exporter.config.settings.schema import TOP
from exporter.config.yaml import types


def schema_text() -> str:
    """Write the schema of one file, derived from the tables of `schema`.

    Draft 7, which every editor supports. Rules between two sections are not in it: `check` reports them.
    """
    heading = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Configuration of ekm-exporter"}
    return json.dumps({**heading, **types.object_json(TOP)}, indent=1, ensure_ascii=False) + "\n"
