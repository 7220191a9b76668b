"""The web configuration file, in the format that Prometheus' exporter-toolkit gave all exporters.

`load` is the way in; `Lock` is what the web endpoint asks: TLS of the next connection, whether a client may come in, which
headers an answer has. A file becomes sections by the tables of `schema` and the values of `values`, these become a
`WebConfig` (`load`, `pem`), and that becomes a TLS context (`tls`), a check of passwords (`passwords`), of names in client
certificates (`names`) and a limit on requests (`limiter`).
Not for: what is served, nor how patient the server is with a client.
"""

from exporter.web.webconfig.access_control import AccessControl, Refusal
from exporter.web.webconfig.load import WebLoaded, load

__all__ = ["AccessControl", "Refusal", "WebLoaded", "load"]
