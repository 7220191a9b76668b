"""HTML pages, complete without a script or an external file.

For: turning values into markup.
Not for: requests, routes, collecting the values (see `exporter.web.handlers.pages`).
"""
