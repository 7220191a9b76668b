"""The running process: wiring, reload, shards.

For: connecting the parts. Not for: rules of the parts.
"""
