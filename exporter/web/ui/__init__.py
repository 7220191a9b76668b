"""The pages for people: server-rendered, without a script or an outside asset.

For: turning values into markup.
Not for: requests, routes, or gathering the values (see `exporter.web.handlers.pages`).
"""
