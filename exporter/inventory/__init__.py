"""Read inventories of SQL Servers and write `targets.d` from them.

For: the command `inventory`.
Not for: the running exporter, which connects to no SQL Server; the rules are in `core.inventory`.
"""
