"""The table of all metric families, with labels, scope, retention, level and HELP; and the codes that a configuration can report.

The exposition, the exporter's own metrics, docs/metrics.md and the tests are made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final, NamedTuple

from exporter.config.settings import Config, Credential
from exporter.core.values import CredentialKind, Outcome, PeerCertificate
from exporter.knowledge.code_row import ConnectorError, Family, Layer
from exporter.knowledge.codes import CODES
from exporter.knowledge.expiry import Source, start_of
from exporter.knowledge.report import ProbeReport
from exporter.metrics.spec import Group, Level, MetricSpec, Retention, SeriesScope, Values, one
from exporter.metrics.sql_server_families import SQL_SERVER_METRICS
from exporter.metrics.target_families import TARGET_METRICS
from exporter.metrics.text import Sample
from exporter.state.causes import CauseGroup

# A probe on an idle host starts late by milliseconds, with 5,000 targets by up to 1 s. A lag above an interval skips probes.
LAG_BUCKETS: Final = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
_MEANING: Final = ("symbol", "category", "owner", "summary")  # labels of ekm_error_info, by their names in `ConnectorError`


def _exporter(name: str, text: str, own: str = "", *, retention: Retention | None = None) -> MetricSpec:
    retention = retention or (Retention.COUNTED if name.endswith("_total") else Retention.NOW)
    return MetricSpec(name=name, scope=SeriesScope.EXPORTER, retention=retention, help=text, own=tuple(own.split()))


class CredentialEnds(NamedTuple):
    """A credential, and by source the date of its expiry, if any, and the time of the lookup: Unix times."""

    credential: Credential
    lookups: Mapping[Source, tuple[float | None, float]]

    @property
    def known(self) -> dict[Source, float]:
        """When the credential expires, by each source that knows it."""
        found = {source: end for source, (end, _) in self.lookups.items() if end is not None}
        declared = self.credential.expires_on
        return found if declared is None else {Source.DECLARED: start_of(declared)} | found

    @property
    def end(self) -> float | None:
        """When the credential expires. A date from a lookup takes precedence over a declared date."""
        known = self.known
        return min((known[source] for source in known.keys() & self.lookups.keys()), default=known.get(Source.DECLARED))


CREDENTIAL = Group[CredentialEnds](SeriesScope.CREDENTIAL)
BUDGET = Group[float](SeriesScope.VAULT)
CERTIFICATE = Group[PeerCertificate](SeriesScope.ENDPOINT)
SKEW = Group[float](SeriesScope.ENDPOINT)
CODE = Group[ConnectorError](SeriesScope.CODE)
COMMON_CAUSE = Group[CauseGroup](SeriesScope.CAUSE)

SHARED_METRICS: Final = (
    CREDENTIAL.family(
        "ekm_credential_expiry_timestamp_seconds",
        lambda of: _by_source(of.known),
        Retention.LAST_KNOWN,
        "Time at which the credential expires; one series for each source with a date.",
        "source",
    ),
    CREDENTIAL.family(
        "ekm_credential_expiry_known",
        lambda of: one(bool(of.known) if of.known or of.credential.may_expire else None),
        Retention.NOW,
        "1 if any source has an expiry date for the credential, else 0. Absent for credentials without an expiring secret.",
    ),
    CREDENTIAL.family(
        "ekm_credential_info",
        lambda of: [((("client_id", of.credential.client_id),), 1.0)] if of.credential.client_id else [],
        Retention.DECLARED,
        "The client id of a credential, to be used in commands. Absent if the configuration does not have it.",
        "client_id",
    ),
    CREDENTIAL.family(
        "ekm_credential_expiry_lookup_last_success_timestamp_seconds",
        lambda of: _by_source({source: at for source, (_, at) in of.lookups.items()}),
        Retention.LAST_KNOWN,
        "Time of the last successful expiry lookup in the source, with or without a date as its result.",
        "source",
    ),
    BUDGET.family(
        "ekm_request_budget_ratio",
        one,
        Retention.PROBE,
        "Share of the vault's published request limit that this exporter used in the busiest 10 s of the last 60 s.",
    ),
    CERTIFICATE.family(
        "ekm_tls_certificate_expiry_timestamp_seconds",
        lambda of: one(of.not_after),
        Retention.LAST_KNOWN,
        "Time at which the TLS certificate of the endpoint expires.",
    ),
    SKEW.family(
        "ekm_clock_skew_seconds",
        one,
        Retention.LAST_KNOWN,
        "Clock of the endpoint minus clock of this host, from the Date header, which has a resolution of 1 s.",
    ),
    CODE.family(
        "ekm_error_info",
        lambda of: [((*((name, getattr(of, name)) for name in _MEANING), ("action", next(iter(of.actions), ""))), 1.0)],
        Retention.STATIC,
        "Meaning, owner and first action of an error code that can occur with the active configuration.",
        "symbol category owner summary action",
    ),
    COMMON_CAUSE.family(
        "ekm_common_cause_info",
        lambda _: one(1),
        Retention.NOW,
        "A cause of failures: the broken link, its name and the reason. The status page counts those of one incident once. Absent while no probe fails.",
    ),
    COMMON_CAUSE.family(
        "ekm_common_cause_targets", lambda of: one(len(of.targets)), Retention.NOW, "Number of targets that fail for the cause."
    ),
    COMMON_CAUSE.family(
        "ekm_common_cause_sql_servers",
        lambda of: one(len(of.servers)),
        Retention.NOW,
        "Number of declared SQL Servers that depend on the targets of the cause.",
    ),
)


def _by_source(times: Mapping[Source, float]) -> list[Sample]:
    return [((("source", source),), at) for source, at in times.items()]


def endpoint_samples(report: ProbeReport) -> dict[str, Values]:
    """Return certificate expiry and clock skew by endpoint (host:port), as far as the report shows them."""
    shown: dict[str, Values] = {}
    now = report.started_at
    for result in report.steps:
        facts = result.facts
        if facts is None or result.shared:
            continue
        now = min(now + result.duration, report.started_at + report.duration)
        if facts.endpoint is None:
            continue
        values = shown.setdefault(facts.endpoint, {})
        if facts.certificate is not None:
            values |= CERTIFICATE.of(facts.certificate)
        if facts.server_time is not None and not result.disturbed:
            # The Date header has whole seconds: add the average of the missing fraction.
            values |= SKEW.of(facts.server_time + 0.5 - now)
    return shown


EXPORTER_METRICS: Final = (
    _exporter(
        "ekm_exporter_build_info",
        "Version, Python version and mode of this exporter.",
        "version python mode",
        retention=Retention.STATIC,
    ),
    _exporter(
        "ekm_exporter_config_last_reload_successful",
        "1 if the last reload of the configuration succeeded, else 0.",
    ),
    _exporter(
        "ekm_exporter_config_last_reload_success_timestamp_seconds",
        "Time of the last successful reload of the configuration.",
    ),
    _exporter(
        "ekm_exporter_ready",
        "1 if the first probes have finished or have exceeded their time limit, as in /-/ready; else 0.",
    ),
    _exporter(
        "ekm_exporter_state_writable",
        "1 if the last write to the state directory succeeded, else 0; absent without --state.dir.",
    ),
    _exporter(
        "ekm_exporter_targets",
        "Number of targets that this exporter probes; targets of other shards are not counted.",
    ),
    _exporter(
        "ekm_exporter_shards",
        "Number of shards that share the targets. The label shard is the I and the label of is the N of --shard I/N. Absent without that flag.",
        "shard of",
    ),
    MetricSpec(
        name="ekm_exporter_schedule_lag_seconds",
        scope=SeriesScope.EXPORTER,
        retention=Retention.COUNTED,
        help="Delay between the scheduled and the actual start of a probe.",
        buckets=LAG_BUCKETS,
    ),
    _exporter("ekm_exporter_probes_skipped_total", "Scheduled probes that were not started, by reason.", "reason"),
    _exporter(
        "ekm_exporter_probes_tainted_total",
        "Probes whose results were discarded: this host was so slow that a healthy vault would have failed, too.",
    ),
    _exporter("ekm_exporter_requests_total", "Requests sent, by endpoint.", "endpoint"),
    _exporter(
        "ekm_exporter_resent_requests_total",
        "Requests of a step that were sent again on a new connection, because the far side had closed the kept one.",
        "step",
    ),
    _exporter("ekm_exporter_internal_errors_total", "Internal errors of the exporter; each is logged."),
    _exporter("ekm_exporter_event_loop_lag_seconds", "Longest delay of the event loop in the last 60 s."),
)

ON_DEMAND = Group[ProbeReport]()

# Families that only /probe has, with the gauges and infos of the target.
PROBE_METRICS: Final = (
    ON_DEMAND.family(
        "ekm_probe_step_duration_seconds",
        lambda of: [((("step", each.step),), each.duration) for each in of.steps if each.outcome is not Outcome.SKIPPED],
        Retention.PROBE,
        "Duration of the step; for a shared token, the duration of its fetch.",
        "step",
        level=Level.DEFAULT,
    ),
    ON_DEMAND.family(
        "ekm_probe_tainted",
        lambda of: one(of.discarded),
        Retention.PROBE,
        "1 if the result of this probe is discarded because this host is too slow, else 0. Then ekm_probe_success is absent.",
    ),
    ON_DEMAND.family(
        "probe_success",
        lambda of: one(of.success),
        Retention.PROBE,
        "Value of ekm_probe_success, under the name that blackbox_exporter uses; 0 if the result is discarded.",
        scope=SeriesScope.EXPORTER,
    ),
    ON_DEMAND.family(
        "probe_duration_seconds",
        lambda of: one(of.duration),
        Retention.PROBE,
        "Value of ekm_probe_duration_seconds, under the name that blackbox_exporter uses.",
        scope=SeriesScope.EXPORTER,
    ),
)

METRICS: Final[tuple[MetricSpec, ...]] = (*TARGET_METRICS, *SHARED_METRICS, *SQL_SERVER_METRICS, *EXPORTER_METRICS)
BY_NAME: Final[Mapping[str, MetricSpec]] = {spec.name: spec for spec in chain(METRICS, PROBE_METRICS)}

# Codes of one way to sign in, and the credentials that sign in so.
_IDENTITY_SERVICE: Final = 3304
_IDENTITY_SERVICE_KINDS: Final = frozenset(
    {CredentialKind.MANAGED_IDENTITY, CredentialKind.WORKLOAD_IDENTITY, CredentialKind.DEFAULT}
)
_CERTIFICATE_KINDS: Final = frozenset({CredentialKind.CLIENT_CERTIFICATE, CredentialKind.DEFAULT})


def possible_codes(config: Config) -> tuple[ConnectorError, ...]:
    """Return the codes that fit the generations and the kinds of credential of `config`.

    If no target has a generation, its own numbers cannot occur. Certificate codes need a credential with a certificate.
    """
    families = {Family.BOTH} | {Family(target.generation.value) for target in config.targets.values()}
    kinds = {credential.kind for credential in config.credentials.values()}
    return tuple(error for error in CODES if error.observable and error.generation in families and _fits(error, kinds))


def _fits(error: ConnectorError, kinds: set[CredentialKind]) -> bool:
    if error.layer is Layer.CREDENTIAL:
        return not kinds.isdisjoint(_CERTIFICATE_KINDS)
    return error.code != _IDENTITY_SERVICE or not kinds.isdisjoint(_IDENTITY_SERVICE_KINDS)
