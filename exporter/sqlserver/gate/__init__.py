"""The gate: whether a restart or failover of a SQL Server would find its keys. Pure.

Requests nothing: exporters' answers and the inventory are passed in. In this order: `conditions`, `inputs`, `dependencies`, `exporters`,
`readiness`, `assess`, `render`.
"""
