"""Events of the connector and of SQL Server in a saved Windows event log.

For: `event_log` reads logs, `record` reads one record, `find` finds its code, `summary` counts, `render` prints; all but `event_log` are pure.
Not for: the layout of an event's text, which is not published: nothing here relies on one.
"""
