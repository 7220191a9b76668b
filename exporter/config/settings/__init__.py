"""The settings as dataclasses: one attribute with type, default and documentation each.

For: the values of a checked configuration, and what is written from these attributes: the tables of keys, the JSON Schema, the
effective configuration. Not for: rules about two settings.
"""
