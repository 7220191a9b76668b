"""Serve Key Vault, Entra ID and SQL Server on loopback, with faults from one table.

For: `simulate`, `demo` and the tests. It implements the wire protocol of the real services, with a new certificate
authority in each run. Only the command line imports it.
Not for: production, other machines, or keeping data. It listens on loopback only and stores nothing.
"""

from exporter.simulator.model import Environment
from exporter.simulator.simulator import Simulator

__all__ = ["Environment", "Simulator"]
