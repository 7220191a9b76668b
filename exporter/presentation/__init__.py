"""What the command line and the pages share: text, JSON, tickets, sentences about SQL Server, log lines, the support bundle.

Holds no HTTP, and no HTML but the rendered documentation. `sql` decides which SQL Servers fail for a cause of their own. `payloads` and `text`
first, then `diagnosis`, `ticket`, `sql` and `expiries`.
"""
