"""The one object that is told what happened and answers scrapes.

For: keeping, per target, counters and last known values; rendering them when a probe ends; letting go of what is forgotten.
Not for: how values are found (see `counters`, `path_changes`, `samples`, `request_budget`), bytes (see `text_format`, `exposition`), HTTP, clocks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace

from exporter.config.build import credentials_in_use, probed_vaults
from exporter.config.model import Config, Module, Target
from exporter.core.auxiliary import AuxiliaryResult
from exporter.core.checks import CheckResult
from exporter.core.codes import CODES
from exporter.core.credential_expiry import Source
from exporter.core.model import KeyFacts, ProbeReport
from exporter.metrics import probe_response
from exporter.metrics import samples as gauges
from exporter.metrics.auxiliary_samples import auxiliary_samples
from exporter.metrics.counters import TargetCounters
from exporter.metrics.definitions import BY_NAME, OF_OTHERS, OF_TARGETS, STEP_BUCKETS
from exporter.metrics.exposition import Exposition
from exporter.metrics.path_changes import Known
from exporter.metrics.record_view import Standing
from exporter.metrics.request_budget import Budgets
from exporter.metrics.samples import Values
from exporter.metrics.self_metrics import Instruments
from exporter.metrics.series_owners import SeriesOwners
from exporter.metrics.spec import MetricType, Retention, Scope
from exporter.metrics.text_format import LabelSet, histogram, line

_KEY_FAMILIES = (
    "ekm_key_info",
    "ekm_key_enabled",
    "ekm_key_supported",
    "ekm_key_expiry_timestamp_seconds",
    "ekm_key_not_before_timestamp_seconds",
    "ekm_key_scheduled_purge_timestamp_seconds",
    "ekm_key_rotation_pending",
)
_TIED = (Scope.CREDENTIAL, Scope.VAULT, Scope.ENDPOINT)


@dataclass(slots=True)
class _Kept:
    """What is kept of one target."""

    target: Target
    module: Module
    base: LabelSet
    tally: TargetCounters = field(default_factory=TargetCounters)
    known: Known = field(default_factory=Known)
    standing: Standing | None = None  # as it was last told of
    tenant_shown: str | None = None


class Recorder(Instruments):
    """All metrics. Used from the event loop only. With `per_target_gauges=False` a scrape has a target's counters and
    histograms alone: then its gauges are what `render_probe` answers.
    """

    def __init__(self, config: Config, *, version: str, mode: str, per_target_gauges: bool = True) -> None:
        super().__init__(version=version, mode=mode)
        self._config = config
        self._exposition = Exposition(
            spec
            for spec in (*OF_TARGETS, *OF_OTHERS)
            if per_target_gauges or spec.scope is not Scope.TARGET or _counts(spec.kind)
        )
        self._per_target_gauges = per_target_gauges
        self._kept: dict[str, _Kept] = {}
        self._ties = SeriesOwners()
        self._budgets = Budgets()
        self._looked_up: dict[str, dict[Source, tuple[float | None, float]]] = {}
        for error in CODES:
            if error.observable:
                self._show(str(error.code), LabelSet.of(("code", str(error.code))), gauges.error_samples(error))

    def configure(self, config: Config) -> None:
        """A new configuration is in force; `add_target` and `forget` follow for what it changes."""
        self._config = config

    def add_target(self, target: Target, module: Module) -> None:
        """Starts a target's series: counters at 0, infos and what is declared. One that is known keeps its counters, unless
        its vault is another one now: then its series have other labels and begin anew.
        """
        kept = self._kept.get(target.name)
        if kept is not None and kept.target.vault != target.vault:
            self.forget(target.name)
            kept = None
        if kept is None:
            kept = self._kept[target.name] = _Kept(target, module, _base_of(target))
        elif kept.target.key != target.key:
            self._show_target(kept, {name: [] for name in _KEY_FAMILIES})
            kept.standing = None
        elif kept.standing is not None:
            report = kept.standing.last if kept.target.credential == target.credential else None
            self._show_target(kept, auxiliary_samples(target, kept.standing, report))
        kept.target, kept.module = target, module
        kept.tally.expect(target, module)
        self._show_counters(kept)
        self._show_config(kept)
        self._tie(target)
        self._count_targets(len(self._kept))

    def forget(self, name: str) -> None:
        """Ends all series of a target, and those of credentials, vaults and endpoints that no other target uses."""
        if self._kept.pop(name, None) is None:
            return
        self._exposition.drop(Scope.TARGET, name)
        for scope in _TIED:
            self._drop(scope, self._ties.replace(name, scope, ()))
        self._count_targets(len(self._kept))

    def record(self, report: ProbeReport, standing: Standing) -> None:
        """Takes in one probe of a target; one of a target that was forgotten meanwhile is ignored."""
        kept = self._kept.get(report.target)
        if kept is None:
            return
        kept.standing = standing
        windows = (*self._config.settings.maintenance, *kept.target.maintenance)
        maintenance = any(window.contains(report.started_at) for window in windows)
        kept.tally.add(report, maintenance=maintenance)
        self._show_target(kept, {"ekm_maintenance": [((), float(maintenance))] if windows else []})
        ended = report.started_at + report.duration
        self._show_budgets(self._budgets.add(kept.target.vault, report.started_at, report.steps, report.key, now=ended))
        if report.tainted:
            self._count_tainted()
        if report.inconclusive:
            # Perhaps only we were too slow: the picture stays what it was.
            self._show_counters(kept)
            next_probe = gauges.record_samples(standing)["ekm_next_probe_timestamp_seconds"]
            self._show_target(kept, {"ekm_next_probe_timestamp_seconds": next_probe})
            return
        kept.tally.path_changed(kept.known.learn(report))
        self._show_counters(kept)
        self._show_target(
            kept,
            gauges.report_samples(report)
            | gauges.record_samples(standing)
            | auxiliary_samples(kept.target, standing, standing.last),
        )
        self._show_known(kept, report.key)
        self._show_endpoints(report)

    def looked(self, name: str, standing: Standing) -> None:
        """Something was looked at beside a target's probe; ignored for a target that was forgotten meanwhile."""
        kept = self._kept.get(name)
        if kept is not None:
            kept.standing = standing
            self._show_target(kept, auxiliary_samples(kept.target, standing, standing.last))

    def checked(self, name: str, results: Iterable[CheckResult] | None) -> None:
        """The doctor's checks of a target were made, or, with None, say nothing any more of what it is now."""
        if name in self._kept:
            self._show_target(self._kept[name], gauges.check_samples(results))

    def spent(self, name: str, look: AuxiliaryResult) -> None:
        """The requests of a look beside a target's probe count against the limit of the vault they went to."""
        if name in self._kept:
            ended = look.at + sum(result.duration for result in look.steps)
            self._show_budgets(self._budgets.add(look.vault, look.at, look.steps, look.key, now=ended))

    def sweep(self, now: float) -> None:
        """What changes because time passes and nothing happens (`now` is a Unix time): call it every few seconds."""
        self._show_budgets(self._budgets.sweep(now))

    def recall(self, name: str, before: Standing) -> None:
        """What was known of an added target before a restart, or is still known after a reload."""
        kept = self._kept[name]
        kept.standing = before
        kept.known.recall(before.vault, before.tenant, before.certificates.get(endpoint_of(kept.target.vault)))
        for endpoint, shown in before.certificates.items():
            self._show_endpoint(name, endpoint, gauges.certificate_samples(shown))
        self._show_known(kept, before.key)
        values = gauges.record_samples(before) | auxiliary_samples(kept.target, before, before.last)
        self._show_target(
            kept, {family: samples for family, samples in values.items() if BY_NAME[family].memory is Retention.KNOWN}
        )
        if before.last is not None and before.last.readiness.ready is None:
            self.drop_verdict(name)

    def drop_verdict(self, name: str) -> None:
        """The last probe is too old to say anything now."""
        if name in self._kept:
            self._show_target(self._kept[name], {"ekm_vault_side_ready": []})

    def credential_looked_up(self, credential: str, source: Source, expires_at: float | None, at: float) -> None:
        """A source said at `at` when a credential ends (Unix times), None for one of which it knows no end.

        Shown until another answer comes: a failed look-up is not told.
        """
        self._looked_up.setdefault(credential, {})[source] = expires_at, at
        self._show_credential(credential)

    def credential_forgotten(self, credential: str, source: Source) -> None:
        """What a source said is about another credential than the one that has this name now."""
        self._looked_up.get(credential, {}).pop(source, None)
        if credential in self._config.credentials:
            self._show_credential(credential)

    async def scrape(self, *, openmetrics: bool) -> AsyncIterator[bytes]:
        """The answer to /metrics, in pieces; between two pieces others have their turn."""
        async for chunk in self._exposition.stream(openmetrics=openmetrics):
            yield chunk
        yield self.render_own(openmetrics=openmetrics)

    def render_probe(self, target: Target, module: Module, report: ProbeReport, *, openmetrics: bool = False) -> bytes:
        """The answer to /probe: gauges and infos of this one report, and what else is last known of the target."""
        kept = self._kept.get(target.name)
        known, before = (Known(), None) if kept is None else (kept.known, kept.standing)
        counted = not self._per_target_gauges
        values = probe_response.answer(self._config, target, module, report, known=known, before=before, counted=counted)
        return probe_response.rendered(target, _base_of(target), values, openmetrics=openmetrics)

    def _show(self, owner: str, base: LabelSet, values: Values) -> None:
        for name, samples in values.items():
            self._exposition.put(name, owner, "".join([line(name, own, base, value) for own, value in samples]))

    def _show_target(self, kept: _Kept, values: Values) -> None:
        """A target's gauges and infos."""
        if self._per_target_gauges:
            self._show(kept.target.name, kept.base, values)

    def _show_counters(self, kept: _Kept) -> None:
        self._show(kept.target.name, kept.base, kept.tally.samples())
        text = [
            histogram(
                "ekm_step_duration_seconds", (("step", step),), kept.base, STEP_BUCKETS, counts=seen.counts, total=seen.total
            )
            for step, seen in kept.tally.durations.items()
        ]
        self._exposition.put("ekm_step_duration_seconds", kept.target.name, "".join(text))

    def _show_known(self, kept: _Kept, key: KeyFacts | None) -> None:
        """Where `key` is None, what is shown of it stays."""
        self._show_target(kept, gauges.key_samples(key) | gauges.vault_samples(kept.known.vault, kept.module.expect_path))
        if kept.known.tenant != kept.tenant_shown:
            self._show_config(kept)

    def _show_config(self, kept: _Kept) -> None:
        kept.tenant_shown = kept.known.tenant
        self._show_target(kept, gauges.config_samples(self._config, kept.target, kept.module, kept.known.tenant))

    def _show_endpoints(self, report: ProbeReport) -> None:
        for endpoint, values in gauges.endpoint_samples(report).items():
            self._show_endpoint(report.target, endpoint, values)

    def _show_endpoint(self, target: str, endpoint: str, values: Values) -> None:
        self._ties.add(target, Scope.ENDPOINT, endpoint)
        self._show(endpoint, LabelSet.of(("endpoint", endpoint)), values)

    def _show_budgets(self, ratios: Mapping[str, float]) -> None:
        for vault, ratio in ratios.items():
            self._show(vault, LabelSet.of(("vault", vault)), {"ekm_request_budget_ratio": [((), ratio)]})

    def _show_credential(self, name: str) -> None:
        values = gauges.credential_samples(self._config.credentials[name], self._looked_up.get(name, {}))
        self._show(name, LabelSet.of(("credential", name)), values)

    def _tie(self, target: Target) -> None:
        """Shares what this target needs, and lets go of what it alone needed before a reload."""
        credentials = sorted(credentials_in_use(replace(self._config, targets={target.name: target})))
        self._drop(Scope.CREDENTIAL, self._ties.replace(target.name, Scope.CREDENTIAL, credentials))
        self._drop(Scope.VAULT, self._ties.replace(target.name, Scope.VAULT, probed_vaults(target)))
        for name in credentials:
            self._show_credential(name)

    def _drop(self, scope: Scope, owners: Iterable[str]) -> None:
        for owner in owners:
            self._exposition.drop(scope, owner)
            if scope is Scope.VAULT:
                self._budgets.forget(owner)
            if scope is Scope.CREDENTIAL:
                self._looked_up.pop(owner, None)


def endpoint_of(vault: str) -> str:
    """The endpoint of a vault as probes name it."""
    return vault if ":" in vault else f"{vault}:443"


def _base_of(target: Target) -> LabelSet:
    return LabelSet.of(("target", target.name), ("vault", target.vault))


def _counts(kind: MetricType) -> bool:
    return kind in (MetricType.COUNTER, MetricType.HISTOGRAM)
