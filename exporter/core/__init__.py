"""What is known without asking anybody: the catalogue, the classification, the readers of answers.

For: pure functions and literal tables over the standard library's data types.
Not for: I/O, clocks, logging, or a type of any library; the import contracts in `pyproject.toml` keep it so.
"""
