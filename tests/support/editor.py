"""A configuration as an editor reads it: YAML 1.2 has no dates, so a date is a string."""

import jsonschema_rs
import yaml

from exporter.config.schema import schema_text

VALIDATOR = jsonschema_rs.validator_for(yaml.safe_load(schema_text()))


class _Editor(yaml.SafeLoader):
    pass


_Editor.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(text):
    return yaml.load(text, _Editor)  # noqa: S506 - a safe loader
