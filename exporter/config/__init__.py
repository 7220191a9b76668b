"""The configuration: files to a checked `Config`, or to every problem in them.

`load_config` reads the bytes into a tree (`yaml_tree`), the tree into sections (`schema`, `fields`, `types`), includes (`includes`)
and builds one `Config` (`build`). Every setting is an attribute with metadata in `model`, `credential`, `module` or `target`; the
tables of keys, the effective configuration (`dump`), the reference and the JSON Schema derive from it.
For: reading and checking the configuration, and what follows from it: cost, coverage, differences.
Not for: network requests.
"""

from exporter.config.consequences.cost import monthly_cost
from exporter.config.loader.load import Loaded, load_config
from exporter.config.settings.dump import dump_yaml
from exporter.config.settings.json_schema import schema_text
from exporter.config.yaml.problems import Problem

__all__ = ["Loaded", "Problem", "dump_yaml", "load_config", "monthly_cost", "schema_text"]
