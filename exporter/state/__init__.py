"""What is kept of each target: its record, its history, and what survives a restart.

Renders nothing. In this order: `history`, `record` with what survives of it, `causes`; `store` has all records and their files.
"""
