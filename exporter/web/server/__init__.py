"""Sockets, connection limits and streaming.

Not for: paths, access and HTML.
"""
