"""The keys of a module, its proxy and its TLS, one row each.

For: reading (see `fields`) and the reference of docs/configuration.md.
Not for: rules between keys; code.
"""

from __future__ import annotations

from exporter.config import azure_types, types
from exporter.config.fields import Field
from exporter.config.model import ExpectPath
from exporter.config.schema import DAY
from exporter.core.model import Mode

PROXY: tuple[Field, ...] = (
    Field(name="url", kind=azure_types.PROXY_URL, required=True, doc="The proxy, without user and password."),
    Field(
        name="no_proxy",
        kind=types.list_of(azure_types.NO_PROXY),
        default="[]",
        doc="Hosts reached directly; `.vault.azure.net` stands for everything below it.",
    ),
    Field(name="username", kind=types.TEXT, doc="User for basic authentication at the proxy."),
    Field(name="password_file", kind=types.PATH, doc="File with that user's password."),
    Field(name="password_env", kind=types.ENVIRONMENT, doc="Environment variable with that user's password."),
)

TLS: tuple[Field, ...] = (
    Field(
        name="ca_file",
        kind=types.PATH,
        default="the system's certificates",
        doc="Certificates in PEM that are trusted instead of the system's.",
    ),
)

MODULE: tuple[Field, ...] = (
    Field(
        name="mode",
        kind=types.choice(Mode),
        default="full",
        doc="`full` makes the whole round trip; `read_only` stops after reading the key; "
        "`canary` does it all with an identity and key of its own and gives no verdict about SQL Server.",
    ),
    Field(
        name="algorithm",
        kind=types.choice(("RSA-OAEP", "RSA-OAEP-256")),
        default="RSA-OAEP",
        doc="Algorithm of wrap and unwrap. The connector uses RSA-OAEP.",
    ),
    Field(name="api_version", kind=azure_types.API_VERSION, default='"7.4"', doc="API version sent to the vault."),
    Field(
        name="token_max_age",
        kind=types.duration(0, 50 * 60),
        default="0s",
        doc="How long a token is used again; with 0s each cycle fetches a fresh one, so that a dead secret is seen at once.",
    ),
    Field(
        name="round_trip_interval",
        kind=types.duration(0, 7 * DAY),
        default="0s",
        doc="Least time between two wrap and unwrap operations of a target; with 0s every probe makes them.",
    ),
    Field(
        name="auxiliary_interval",
        kind=types.duration(0, 7 * DAY),
        default="5m",
        doc="Least time between two looks at what is beside the main probe: staged credential, retained versions, recovery vault, "
        "newest version. What is not yet known or was refused is looked at with every probe.",
    ),
    Field(
        name="proxy", kind=types.section(PROXY), default="direct, whatever the environment says", doc="Proxy for vault and Entra."
    ),
    Field(name="tls", kind=types.section(TLS), doc="How servers prove who they are."),
    Field(
        name="authority_host",
        kind=azure_types.AUTHORITY,
        default="the one the challenge names, if it is a known Entra host",
        doc="The Entra host that may be told the secret.",
    ),
    Field(
        name="connect_to",
        kind=azure_types.CONNECT_TO,
        default="{}",
        doc="Connect to another address than the name resolves to, as `curl --connect-to`; past any proxy.",
    ),
    Field(
        name="expect_path",
        kind=types.choice(ExpectPath),
        default="any",
        doc="Whether the vault should be reached over a private or the public endpoint.",
    ),
    Field(
        name="crl_check",
        kind=types.BOOL,
        default="true",
        doc="Whether a pre-flight check tries the hosts of CRL and OCSP on port 80.",
    ),
)
