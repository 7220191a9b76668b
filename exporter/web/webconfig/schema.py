"""The keys of a web configuration: one row each, the names as exporter-toolkit has them.

For: reading by table, and the tables of docs/securing.md.
Not for: rules about two keys (see `load`).
"""

from __future__ import annotations

from exporter.config import types as of
from exporter.config.fields import Field
from exporter.web.webconfig import types as is_

TLS: tuple[Field, ...] = (
    Field(name="cert_file", kind=of.PATH, doc="The certificate, and any above it, in PEM."),
    Field(name="key_file", kind=of.PATH, doc="Its private key in PEM, without a password."),
    Field(name="cert", kind=is_.PEM, doc="The same as text, in place of `cert_file`."),
    Field(name="key", kind=is_.PEM, doc="The same as text, in place of `key_file`; then keep this file as you keep a key."),
    Field(
        name="client_auth_type",
        kind=is_.CLIENT_AUTH,
        default="NoClientCert",
        doc="Whether a client must show a certificate, which is always verified.",
    ),
    Field(name="client_ca_file", kind=of.PATH, doc="The authorities whose client certificates are accepted, in PEM."),
    Field(name="client_ca", kind=is_.PEM, doc="The same as text, in place of `client_ca_file`."),
    Field(
        name="client_allowed_sans",
        kind=is_.words(of.TEXT),
        doc="A client's certificate must have one of these as a DNS name, address, e-mail address or URI, letter by letter. "
        "Only with `RequireAndVerifyClientCert`.",
    ),
    Field(name="min_version", kind=is_.VERSION, default="TLS12", doc="The oldest TLS that is spoken."),
    Field(name="max_version", kind=is_.VERSION, default="TLS13", doc="The newest TLS that is spoken."),
    Field(
        name="cipher_suites",
        kind=is_.words(is_.SUITE),
        default="OpenSSL's own choice",
        doc="The suites of TLS 1.2, by Go's names. Those of TLS 1.3 are always all offered.",
    ),
    Field(
        name="prefer_server_cipher_suites",
        kind=of.BOOL,
        default="true",
        doc="Whether the order of `cipher_suites` counts, or the client's.",
    ),
    Field(
        name="curve_preferences",
        kind=is_.words(is_.CURVE),
        default="OpenSSL's own choice",
        doc="The curve of the key exchange. One at most: Python can set no list.",
    ),
)

HEADERS: tuple[Field, ...] = (
    Field(name="Content-Security-Policy", kind=of.TEXT, doc="In place of the exporter's own, which its pages need no more than."),
    Field(name="X-Frame-Options", kind=of.choice(("deny", "sameorigin")), default="deny", doc="Who may frame a page."),
    Field(name="X-Content-Type-Options", kind=of.choice(("nosniff",)), default="nosniff", doc="No guessing of types."),
    Field(name="X-XSS-Protection", kind=of.TEXT, doc="For old browsers."),
    Field(
        name="Strict-Transport-Security", kind=of.TEXT, doc="Makes browsers use HTTPS for this whole host name, other ports too."
    ),
)

HTTP: tuple[Field, ...] = (
    Field(name="http2", kind=is_.HTTP2, default="false", doc="HTTP/2 is not spoken; `true` is refused."),
    Field(name="headers", kind=of.section(HEADERS), doc="Headers of every answer."),
)

RATE_LIMIT: tuple[Field, ...] = (
    Field(name="interval", kind=is_.INTERVAL, default="0", doc="Time in which one more request is allowed; 0 for no limit."),
    Field(name="burst", kind=of.whole(1, 1_000_000), doc="Requests at once. Required with an interval."),
)

TOP: tuple[Field, ...] = (
    Field(name="tls_server_config", kind=of.section(TLS), doc="TLS; without it, plain HTTP."),
    Field(name="http_server_config", kind=of.section(HTTP), doc="HTTP."),
    Field(name="basic_auth_users", kind=is_.USERS, doc="Who may come in with a name and a password."),
    Field(name="rate_limit", kind=of.section(RATE_LIMIT), doc="How many requests are answered, from all clients together."),
)
