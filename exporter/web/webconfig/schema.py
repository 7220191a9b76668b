"""The keys of a web configuration, named as in exporter-toolkit.

The rows are also the tables of docs/securing.md.
"""

from __future__ import annotations

from exporter.config.yaml import Field, types
from exporter.web.webconfig import types as web_types

TLS: tuple[Field, ...] = (
    Field(name="cert_file", kind=types.PATH, doc="The certificate and any intermediate ones, in PEM."),
    Field(name="key_file", kind=types.PATH, doc="The private key of the certificate, in PEM and without a password."),
    Field(name="cert", kind=web_types.PEM, doc="The certificate as text, instead of `cert_file`."),
    Field(
        name="key",
        kind=web_types.PEM,
        doc="The private key as text, instead of `key_file`. Protect the web configuration like a key then.",
    ),
    Field(
        name="client_auth_type",
        kind=web_types.CLIENT_AUTH,
        default="NoClientCert",
        doc="Whether a client may or must present a certificate. A presented certificate is always verified.",
    ),
    Field(name="client_ca_file", kind=types.PATH, doc="The authorities of accepted client certificates, in PEM."),
    Field(name="client_ca", kind=web_types.PEM, doc="The authorities as text, instead of `client_ca_file`."),
    Field(
        name="client_allowed_sans",
        kind=web_types.non_empty_list(types.TEXT),
        doc="Client certificates must have exactly one of these DNS names, addresses, e-mail addresses or URIs. "
        "Only with `RequireAndVerifyClientCert`.",
    ),
    Field(name="min_version", kind=web_types.VERSION, default="TLS12", doc="The oldest TLS version."),
    Field(name="max_version", kind=web_types.VERSION, default="TLS13", doc="The newest TLS version."),
    Field(
        name="cipher_suites",
        kind=web_types.non_empty_list(web_types.SUITE),
        default="OpenSSL's own choice",
        doc="The suites of TLS 1.2, by Go's names. All suites of TLS 1.3 are always offered.",
    ),
    Field(
        name="prefer_server_cipher_suites",
        kind=types.BOOL,
        default="true",
        doc="Whether the server's order of suites takes precedence over the client's.",
    ),
    Field(
        name="curve_preferences",
        kind=web_types.non_empty_list(web_types.CURVE),
        default="OpenSSL's own choice",
        doc="The curve of the key exchange. At most one: Python cannot set a list.",
    ),
)

HEADERS: tuple[Field, ...] = (
    Field(
        name="Content-Security-Policy",
        kind=types.TEXT,
        doc="Replaces the exporter's own policy, which allows only its style sheet and script.",
    ),
    Field(
        name="X-Frame-Options",
        kind=types.choice(("deny", "sameorigin")),
        default="deny",
        doc="Whether other pages can frame a page.",
    ),
    Field(
        name="X-Content-Type-Options",
        kind=types.choice(("nosniff",)),
        default="nosniff",
        doc="Browsers do not guess content types.",
    ),
    Field(name="X-XSS-Protection", kind=types.TEXT, doc="For old browsers."),
    Field(
        name="Strict-Transport-Security",
        kind=types.TEXT,
        doc="Makes browsers use HTTPS for this host name, on every port.",
    ),
)

HTTP: tuple[Field, ...] = (
    Field(name="http2", kind=web_types.HTTP2, default="false", doc="HTTP/2 is not supported; `true` is refused."),
    Field(name="headers", kind=types.section(HEADERS), doc="Headers of every response."),
)

RATE_LIMIT: tuple[Field, ...] = (
    Field(
        name="interval", kind=web_types.INTERVAL, default="0", doc="Time between two requests, after the burst; 0 for no limit."
    ),
    Field(name="burst", kind=types.whole(1, 1_000_000), doc="Requests allowed at once. Required with an interval."),
)

TOP: tuple[Field, ...] = (
    Field(name="tls_server_config", kind=types.section(TLS), doc="TLS; without it, plain HTTP."),
    Field(name="http_server_config", kind=types.section(HTTP), doc="HTTP."),
    Field(name="basic_auth_users", kind=web_types.USERS, doc="Users and the bcrypt hashes of their passwords."),
    Field(name="rate_limit", kind=types.section(RATE_LIMIT), doc="Limit on the requests of all clients together."),
)
