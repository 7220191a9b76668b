"""Every key of every section of the configuration, as literal tables: kind, default, and the sentence of the documentation.

For: reading (see `fields`) and the reference of docs/configuration.md (see `docs.generators.configuration`). The file's own keys are in `top`.
Not for: rules between keys; code.
"""

from __future__ import annotations

from exporter.config import azure_types, types
from exporter.config.fields import Field
from exporter.config.model import CredentialKind
from exporter.core.model import Generation, Vantage

DAY = 86400.0
SECRET, CONNECTOR, CERTIFICATE = (
    CredentialKind.CLIENT_SECRET,
    CredentialKind.CONNECTOR_SECRET,
    CredentialKind.CLIENT_CERTIFICATE,
)
MANAGED, WORKLOAD, CHAIN = CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT

_INTERVAL = types.duration(0.1, DAY)
_TIMEOUT = types.duration(0.01, DAY / 2)

GLOBAL: tuple[Field, ...] = (
    Field(name="interval", kind=_INTERVAL, default="60s", doc="Time between two probes of a target."),
    Field(
        name="timeout",
        kind=_TIMEOUT,
        default="min(10s, interval / 2)",
        doc="Time for one whole probe. Written above half of a target's interval it is a problem.",
    ),
    Field(
        name="min_interval",
        kind=types.duration(0, DAY),
        default="5s",
        doc="Least time between two requested probes of a target: memory answers earlier requests, other modules wait. "
        "The target's own module does not wait for others.",
    ),
    Field(
        name="preflight_interval",
        kind=types.duration(0, 7 * DAY),
        default="6h",
        doc="Time between two runs of the doctor's checks for a target, whose results are metrics; with 0s there are none.",
    ),
    Field(
        name="concurrency",
        kind=types.whole(1, 100_000),
        default="enough for all targets timing out at once, at least 64",
        doc="Probes in flight at once.",
    ),
    Field(
        name="connector_generation",
        kind=types.choice(Generation),
        default="classic",
        doc="Which numbers the connector on the SQL Servers uses: classic is 30xx, current is 31xx.",
    ),
    Field(
        name="vantage",
        kind=types.choice(Vantage),
        default="central",
        doc="Where this exporter stands: on a SQL Server's host, or elsewhere. It is part of every verdict.",
    ),
    Field(
        name="maintenance",
        kind=types.list_of(types.WINDOW),
        default="[]",
        doc="Windows of planned work for all targets: failures inside neither page nor count for the service level.",
    ),
)

CREDENTIAL: tuple[Field, ...] = (
    Field(name="type", kind=types.choice(CredentialKind), required=True, doc="What kind of identity this is."),
    Field(
        name="tenant_id",
        kind=azure_types.TENANT,
        types=(SECRET, CONNECTOR, CERTIFICATE, WORKLOAD),
        default="the tenant that the vault's challenge names",
        doc="The Entra tenant.",
    ),
    Field(
        name="client_id",
        kind=types.GUID,
        types=(SECRET, CERTIFICATE, MANAGED, WORKLOAD),
        doc="The application. Required with `client_secret` and `client_certificate`; with `managed_identity` it names a user-assigned one.",
    ),
    Field(
        name="client_secret_file",
        kind=types.PATH,
        types=(SECRET,),
        doc="File with the client secret; one line break at its end is ignored, and it is read again when it changes.",
    ),
    Field(name="client_secret_env", kind=types.ENVIRONMENT, types=(SECRET,), doc="Environment variable with the client secret."),
    Field(
        name="secret_file",
        kind=types.PATH,
        types=(CONNECTOR,),
        doc="File with the SECRET of CREATE CREDENTIAL as it was typed: client id without hyphens, then the client secret.",
    ),
    Field(name="secret_env", kind=types.ENVIRONMENT, types=(CONNECTOR,), doc="Environment variable with that SECRET."),
    Field(
        name="certificate_file",
        kind=types.PATH,
        types=(CERTIFICATE,),
        required=True,
        doc="Certificate and private key, PEM or PFX.",
    ),
    Field(name="password_file", kind=types.PATH, types=(CERTIFICATE,), doc="File with the certificate file's password."),
    Field(
        name="password_env",
        kind=types.ENVIRONMENT,
        types=(CERTIFICATE,),
        doc="Environment variable with the certificate file's password.",
    ),
    Field(
        name="expires_on",
        kind=types.DATE,
        types=(SECRET, CONNECTOR, CERTIFICATE, CHAIN),
        doc="The day on which the secret ends, as you know it.",
    ),
    Field(
        name="graph_credential",
        kind=types.NAME,
        types=(SECRET, CONNECTOR, CERTIFICATE),
        doc="Another credential, with which Microsoft Graph is asked when this one ends.",
    ),
    Field(
        name="key_vault_secret",
        kind=azure_types.SECRET_URL,
        types=(SECRET, CONNECTOR, CERTIFICATE),
        doc="A Key Vault secret whose expiry attribute says when this credential ends.",
    ),
    Field(
        name="key_vault_credential",
        kind=types.NAME,
        types=(SECRET, CONNECTOR, CERTIFICATE),
        default="`graph_credential`, else this credential itself",
        doc="The credential that reads the attributes of `key_vault_secret`.",
    ),
)

RETAINED: tuple[Field, ...] = (
    Field(name="key", kind=azure_types.KEY, required=True, doc="The key version that the old backups were made under."),
    Field(name="vault", kind=azure_types.VAULT, default="the target's", doc="The vault it is in."),
    Field(name="credential", kind=types.NAME, default="the target's", doc="The credential that may unwrap with it."),
    Field(name="until", kind=types.DATE, doc="The day after which no backup needs it any more."),
)

TARGET: tuple[Field, ...] = (
    Field(name="name", kind=types.NAME, required=True, doc="Unique over all files; the label `target`."),
    Field(
        name="vault",
        kind=azure_types.VAULT,
        required=True,
        doc="What stands in the IDENTITY of the SQL credential: the vault's name, its host name, or its https URL.",
    ),
    Field(
        name="key",
        kind=azure_types.KEY,
        required=True,
        doc="The key, pinned to the version that SQL Server uses. A bare name follows the newest version and gets no verdict.",
    ),
    Field(
        name="retained_versions",
        kind=types.list_of(types.section(RETAINED)),
        default="[]",
        doc="Key versions that old backups need.",
    ),
    Field(name="credential", kind=types.NAME, required=True, doc="The credential SQL Server uses."),
    Field(name="next_credential", kind=types.NAME, doc="Its staged successor: probed beside, never part of the verdict."),
    Field(name="recovery_vault", kind=azure_types.VAULT, doc="The vault that holds the restored key."),
    Field(
        name="recovery_credential",
        kind=types.NAME,
        default="the target's `credential`",
        doc="The credential for the recovery vault.",
    ),
    Field(name="backup_on", kind=types.DATE, doc="The day of the key's last backup, as you know it."),
    Field(
        name="maintenance",
        kind=types.list_of(types.WINDOW),
        default="[]",
        doc="Windows of planned work for this target, besides those of `global.maintenance`.",
    ),
    Field(name="module", kind=types.NAME, default="default", doc="How to probe."),
    Field(
        name="modules", kind=types.list_of(types.NAME), default="[]", doc="Other modules that `/probe?module=` may use for it."
    ),
    Field(name="interval", kind=_INTERVAL, default="`global.interval`", doc="Time between two probes."),
    Field(name="timeout", kind=_TIMEOUT, default="`global.timeout`", doc="Time for one whole probe, at most half the interval."),
    Field(
        name="connector_generation",
        kind=types.choice(Generation),
        default="`global.connector_generation`",
        doc="Which numbers this SQL Server's connector uses.",
    ),
    Field(
        name="labels",
        kind=azure_types.labels(azure_types.RESERVED_LABELS | azure_types.INFO_LABELS),
        default="{}",
        doc="Labels of your own on `ekm_target_info`; the shipped rules copy `team`, `env` and `sql_instance`.",
    ),
    Field(
        name="instances",
        kind=azure_types.INSTANCES,
        default="[]",
        doc="The SQL Servers that depend on this key, one mapping each: `sql_instance`, and whatever else tells them apart, such as `host` and `ag`.",
    ),
)

TARGET_DEFAULTS: tuple[Field, ...] = tuple(field for field in TARGET if field.name != "name")


# Where a credential's secret stands: the stem of the fields NAME_file and NAME_env, and whether one of them must be there.
SOURCES: dict[CredentialKind, tuple[str, bool]] = {
    SECRET: ("client_secret", True),
    CONNECTOR: ("secret", True),
    CERTIFICATE: ("password", False),
}
NEEDS_CLIENT_ID = (SECRET, CERTIFICATE)

# Fields that name something declared elsewhere.
REFERENCES: dict[str, str] = {
    "credential": "credentials",
    "next_credential": "credentials",
    "recovery_credential": "credentials",
    "graph_credential": "credentials",
    "key_vault_credential": "credentials",
    "module": "modules",
    "modules": "modules",
}
