"""Handlers: from requests to responses."""
