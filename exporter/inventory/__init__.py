"""Write `targets.d` from what SQL Servers use, and compare it with Azure.

For: the command `inventory`: hand-written and generated files, `azure/`, and the comparison of keys with those of vaults.
Not for: reading a SQL Server, which is the work of `sqlservers`; the rules are in `tde`.
"""
