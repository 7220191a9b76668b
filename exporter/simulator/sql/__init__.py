"""Serve simulated SQL Servers over TDS 7.4, from the configuration of the simulated vaults.

For: `simulate --sql` and the tests of the inventory and of the shipped scripts. The servers answer the statements that are shipped there, and those that
clients send by themselves.
Not for: any other SQL. There is no database and no parser of T-SQL.
"""

from exporter.simulator.sql.servers import SqlServers

__all__ = ["SqlServers"]
