"""The web endpoint: exposition, probes on demand, HTML pages, JSON and health.

For: everything that serves an HTTP request.
Not for: probing, storing state, the meaning of a metric.
"""

from exporter.web.app import create_app
from exporter.web.interfaces import ExporterService, Reload
from exporter.web.options import WebOptions, web_options
from exporter.web.server.connection_limits import MAX_UNFINISHED
from exporter.web.server.listener import ListenAddress, ListenError, WebServer, parse_address

__all__ = [
    "MAX_UNFINISHED",
    "ExporterService",
    "ListenAddress",
    "ListenError",
    "Reload",
    "WebOptions",
    "WebServer",
    "create_app",
    "parse_address",
    "web_options",
]
