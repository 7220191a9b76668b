"""Metrics: their families, their values and their exposition as text and protobuf.

Probes nothing and knows no path. `spec` says what a family is; then come the families with their values (`target_families`,
`families`, and of a SQL Server `sql_server_families` and `sql_server`), `counters` and `own`. `recorder` keeps rendered bytes, which
`exposition`, `text` and `protobuf` write.
"""
