"""What the command line and the pages share: text, JSON, tickets, sentences about SQL Server, log lines, the support bundle.

Holds no HTML, no HTTP and no decision. `payloads` and `text` first, then `ticket`, `sql` and `expiries`.
"""
