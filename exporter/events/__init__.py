"""Events of the connector and of SQL Server in a saved Windows event log.

For: `event_log` reads logs, `record` reads one record, `summary` counts, `render` prints; all but `event_log` are pure.
Not for: the code of an event (`explain.event_search`).
"""
