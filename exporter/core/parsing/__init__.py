"""Bodies and headers of responses as values: pure parsers.

Not for: which code or reason follows (`classify`).
"""
