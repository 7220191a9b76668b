"""Read inventories of SQL Servers and of Azure, and saved event logs; write `targets.d`.

For: the commands `inventory`, `gate` and `events`.
Not for: the running exporter, which connects to no SQL Server; the rules are in `core.inventory`, `core.gate` and `core.events`.
"""
