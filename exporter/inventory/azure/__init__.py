"""Vaults and keys of Azure that no target covers.

For: `resource_graph` and `reader` read them, `plan` proposes targets, `render` writes the report and the targets.
Not for: the keys of SQL Servers.
"""
