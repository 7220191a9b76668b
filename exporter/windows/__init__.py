"""Windows: its service manager, event log, registry and accounts, and the installation of the service.

Holds no rule of SQL Server. `api` first; `rules` is pure: rights, and the plan of an installation; then `service`, `accounts`, `event_log`;
`install` does what the plan says, and takes it back if a step fails.
"""
