"""The configuration: files to a checked `Config`, or to every problem in them.

`load_config` reads each file into sections (`yaml/`), joins the sections of all files and checks them (`loader/`). Every setting is
an attribute with metadata in `settings/`; the tables of keys, the effective configuration, the reference and the JSON Schema derive
from it. `consequences/` has what follows from a `Config`. A folder imports those after it in this order: `loader`, `consequences`,
`settings`, `yaml`.
For: reading and checking the configuration, and what follows from it: cost, differences, names.
Not for: network requests.
"""
