"""Read SQL Servers over TDS: the sections of inventory.sql and proof.sql, and the registry's KeyUri.

For: `ekm-exporter inventory --server`, and `run` with `sql_servers`. `driver` alone imports python-tds, when it connects.
Not for: what follows from a reading; the rules are in `tde`.
"""
