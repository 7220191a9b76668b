"""What SQL Servers use, and the targets that follow from it: pure rules.

For: `document` reads the output of deploy/sql/inventory.sql, `model` makes instances of it, `plan` makes targets of those, `render` writes them
as YAML.
Not for: files, connections or the configuration of the exporter.
"""
