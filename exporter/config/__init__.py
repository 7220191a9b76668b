"""The configuration: files to a checked `Config`, or to every problem in them.

`load_config` reads each file into sections (`yaml/`), joins the sections of all files and checks them (`loader/`). Every setting is
an attribute with metadata in `settings/`; the tables of keys, the effective configuration, the reference and the JSON Schema derive
from it. `consequences/` has what follows from a `Config`. A folder imports those after it in this order: `loader`, `consequences`,
`settings`, `yaml`.
For: reading and checking the configuration, and what follows from it: cost, differences, names.
Not for: network requests.
"""

from exporter.config.consequences.cost import monthly_cost
from exporter.config.loader import Loaded, load_config
from exporter.config.settings.dump import dump_yaml, effective_module, effective_pieces
from exporter.config.settings.schema import schema_text

__all__ = [
    "Loaded",
    "dump_yaml",
    "effective_module",
    "effective_pieces",
    "load_config",
    "monthly_cost",
    "schema_text",
]
