"""Sockets, connection limits and streaming."""
