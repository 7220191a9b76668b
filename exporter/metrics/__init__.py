"""Metrics: their families, their values and their exposition as text and protobuf.

Probes nothing and knows no path. Families first (`target_families`, `sql_server_families`, `families`), then values (`target_values`,
`sql_server`, `counters`, `own`); `recorder` keeps rendered bytes, which `exposition`, `text` and `protobuf` write.
"""
