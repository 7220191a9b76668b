"""What is kept of each target: its record, its history, and what survives a restart.

Renders nothing. In this order: `history`, `record`, `causes`; `snapshot` is what survives of a record, `store` has all records and their files.
"""
