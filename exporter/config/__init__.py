"""The configuration file: reading it, all that is wrong with it, and what it comes to.

`load` is the way in. Bytes become a tree (`document`), the tree becomes sections (`sections`, by the tables of `schema` and
the values of `kinds` and `addresses`), files are put side by side (`gather`), and the parts become one `Config` (`assemble`,
with `credentials`, `modules`, `targets`). Beside it: `advice`, `cost`, `effective`, `secrets`, `keeper`, `reference`.
Not for: anything that asks the network.
"""

from exporter.config.cost import monthly_cost
from exporter.config.dump import dump_yaml
from exporter.config.load import Loaded, load_config
from exporter.config.problems import Problem

__all__ = ["Loaded", "Problem", "dump_yaml", "load_config", "monthly_cost"]
