"""Serve simulated SQL Servers over TDS 7.4, from the configuration of the simulated vaults.

For: `simulate --sql` and the tests of what reads SQL Servers. The servers answer the batches of inventory.sql and proof.sql, and what clients send
by themselves. Each plays its day: backups, logs, and the requests to the vault that both need.
Not for: any other SQL. There is no database and no parser of T-SQL.
"""

from exporter.simulator.sql.servers import SqlServers

__all__ = ["SqlServers"]
