"""The pure core: the table of codes, the classification, the parsers of responses.

For: pure functions and literal tables over the standard library's data types.
Not for: I/O, clocks, logging, or types of other libraries; the import contracts in `pyproject.toml` enforce it.
"""
