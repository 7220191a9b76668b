"""One YAML file: bytes to a tree, the tree to sections, each problem at its line.

For: reading any YAML file by a table of its keys. Not for: a setting of the exporter.
"""
