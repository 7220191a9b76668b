"""The configuration: from bytes of YAML to a checked `Config`, and what follows from it.

Holds no request and no long-lived cache. In this order: `tree` (bytes to nodes), `fields` (types and messages), `settings` (one attribute is
type, default and documentation), `files`, `build`, `load` (problems and warnings); then `usage`, `cost` and `schema`.
"""
