"""What SQL Servers encrypt with keys of a vault, and what follows from it: pure rules.

For: `document` reads the output of inventory.sql, `model` makes SQL Servers of it, `pairing` finds the login and credential of each
key, `usage` adds its vault and version, `plan` makes targets of those, and `gate/` assesses a restart.
Not for: files, connections or the configuration of the exporter, and nothing that a probe needs.
"""
