"""Entra ID, Key Vault, Microsoft Graph and SQL Server on loopback, with faults that can be set.

Only the command line and tests import it; it stores nothing. In this order: `environment` (what exists), `http`, `errors`, `vault`, `entra`,
`graph`, `faults`, `scenarios`, `state`, `services`, `simulator`; for SQL Server `tds`, `sql_answers`, `sql_day`, `sql_servers`; `story` is the demo's.
"""
