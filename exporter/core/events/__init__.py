"""Events of the connector and of SQL Server in a saved Windows event log: pure rules.

For: `record` reads one record, `find` finds its code, `summary` counts, `render` prints.
Not for: files; the layout of an event's text is not published, so nothing here relies on one.
"""
