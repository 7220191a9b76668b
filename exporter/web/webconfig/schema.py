"""The keys of a web configuration: one row each, the names as exporter-toolkit has them.

For: reading by table, and the tables of docs/securing.md.
Not for: rules about two keys (see `load`).
"""

from __future__ import annotations

from exporter.config import types
from exporter.config.fields import Field
from exporter.web.webconfig import types as web_types

TLS: tuple[Field, ...] = (
    Field(name="cert_file", kind=types.PATH, doc="The certificate, and any above it, in PEM."),
    Field(name="key_file", kind=types.PATH, doc="Its private key in PEM, without a password."),
    Field(name="cert", kind=web_types.PEM, doc="The same as text, in place of `cert_file`."),
    Field(name="key", kind=web_types.PEM, doc="The same as text, in place of `key_file`; then keep this file as you keep a key."),
    Field(
        name="client_auth_type",
        kind=web_types.CLIENT_AUTH,
        default="NoClientCert",
        doc="Whether a client must show a certificate, which is always verified.",
    ),
    Field(name="client_ca_file", kind=types.PATH, doc="The authorities whose client certificates are accepted, in PEM."),
    Field(name="client_ca", kind=web_types.PEM, doc="The same as text, in place of `client_ca_file`."),
    Field(
        name="client_allowed_sans",
        kind=web_types.words(types.TEXT),
        doc="A client's certificate must have one of these as a DNS name, address, e-mail address or URI, letter by letter. "
        "Only with `RequireAndVerifyClientCert`.",
    ),
    Field(name="min_version", kind=web_types.VERSION, default="TLS12", doc="The oldest TLS that is spoken."),
    Field(name="max_version", kind=web_types.VERSION, default="TLS13", doc="The newest TLS that is spoken."),
    Field(
        name="cipher_suites",
        kind=web_types.words(web_types.SUITE),
        default="OpenSSL's own choice",
        doc="The suites of TLS 1.2, by Go's names. Those of TLS 1.3 are always all offered.",
    ),
    Field(
        name="prefer_server_cipher_suites",
        kind=types.BOOL,
        default="true",
        doc="Whether the order of `cipher_suites` counts, or the client's.",
    ),
    Field(
        name="curve_preferences",
        kind=web_types.words(web_types.CURVE),
        default="OpenSSL's own choice",
        doc="The curve of the key exchange. One at most: Python can set no list.",
    ),
)

HEADERS: tuple[Field, ...] = (
    Field(
        name="Content-Security-Policy", kind=types.TEXT, doc="In place of the exporter's own, which its pages need no more than."
    ),
    Field(name="X-Frame-Options", kind=types.choice(("deny", "sameorigin")), default="deny", doc="Who may frame a page."),
    Field(name="X-Content-Type-Options", kind=types.choice(("nosniff",)), default="nosniff", doc="No guessing of types."),
    Field(name="X-XSS-Protection", kind=types.TEXT, doc="For old browsers."),
    Field(
        name="Strict-Transport-Security",
        kind=types.TEXT,
        doc="Makes browsers use HTTPS for this whole host name, other ports too.",
    ),
)

HTTP: tuple[Field, ...] = (
    Field(name="http2", kind=web_types.HTTP2, default="false", doc="HTTP/2 is not spoken; `true` is refused."),
    Field(name="headers", kind=types.section(HEADERS), doc="Headers of every answer."),
)

RATE_LIMIT: tuple[Field, ...] = (
    Field(
        name="interval", kind=web_types.INTERVAL, default="0", doc="Time in which one more request is allowed; 0 for no limit."
    ),
    Field(name="burst", kind=types.whole(1, 1_000_000), doc="Requests at once. Required with an interval."),
)

TOP: tuple[Field, ...] = (
    Field(name="tls_server_config", kind=types.section(TLS), doc="TLS; without it, plain HTTP."),
    Field(name="http_server_config", kind=types.section(HTTP), doc="HTTP."),
    Field(name="basic_auth_users", kind=web_types.USERS, doc="Who may come in with a name and a password."),
    Field(name="rate_limit", kind=types.section(RATE_LIMIT), doc="How many requests are answered, from all clients together."),
)
