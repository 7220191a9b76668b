"""What only a SQL Server host on Windows shows: facts as read, and the rules that assess them.

For: access lists, proxy settings, versions and settings of TLS as values. Each rule returns the finding of a check.
Not for: reading a fact (see `exporter.runtime.windows`), or when it is read (see `exporter.doctor`).
"""
