"""The web endpoint: sockets, access, paths and HTML pages.

Probes and stores nothing. In this order: `app` (paths to handlers), `access` (one order of refusals), `api`, `probe`, `pages/`; below them
`listener` and `connections`; `config_file`, `access_control` and `tls` are the file of --web.config.file.
"""
