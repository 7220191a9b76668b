"""Handlers: from requests to responses.

Not for: HTML (`ui`), sockets (`server`) and who may use a path (`access`).
"""
