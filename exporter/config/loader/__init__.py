"""All files of a configuration to one checked `Config`, or to every problem in them.

For: includes, defaults, references, contradictions and warnings. Not for: the reading of one file.
"""
