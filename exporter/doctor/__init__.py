"""Preflight checks of one target: evidence is collected, then assessed, by the command and again and again by the exporter.

Holds no table of checks (they are in `knowledge`). In this order: `evidence`, `collect`, `checks_vault`, `checks_host`, `run`, `monitor`.
`host_facts` reads a Windows host with SQL Server, and `host_rules` assesses it and is pure.
"""
