"""A stand-in for Key Vault and Entra on loopback: volatile, a new certificate authority each run, faults from one table.

For: `simulate`, `demo` and the tests. It speaks on the wire what the real services speak; nothing in the exporter knows it.
Not for: production, other machines, or keeping anything: it refuses to listen anywhere but on loopback.
"""

from exporter.simulator.model import Environment
from exporter.simulator.simulator import Simulator

__all__ = ["Environment", "Simulator"]
