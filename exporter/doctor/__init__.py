"""The preflight checks of one target, with a fix for each failure.

For: the command `doctor` and the periodic runs. Not for: names and texts of the checks (see `exporter.core.checks`).
"""
