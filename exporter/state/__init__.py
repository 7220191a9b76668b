"""What is kept of each target: its record, its history, and what survives a restart.

Renders nothing. In this order: `record`, `history`, `causes`, `snapshot`, `store`.
"""
