"""The web configuration file, in the format of Prometheus' exporter-toolkit.

`load` reads a file by the tables of `schema` and the values of `types` into a `WebConfig`. `AccessControl` applies it: TLS of the
next connection (`tls`), passwords (`passwords`), the limit on requests (`rate_limit`) and response headers.

For: reading, checking and applying the file.
Not for: the paths that are served, the time limits of a connection.
"""
