"""Read SQL Servers, Azure, saved event logs and the history in Prometheus; write `targets.d`.

For: the commands `inventory`, `gate`, `events` and `report`.
Not for: the running exporter, which connects to no SQL Server; the rules are in `core.inventory`, `core.gate`, `core.events` and `core.report`.
"""
