"""The body of /probe: gauges and infos of one probe, and last known values.

Counters and histograms are on /metrics only.
"""

from __future__ import annotations

from collections.abc import Collection

from exporter.config.settings import Config, Module, Target
from exporter.core.model import Phase, ProbeReport
from exporter.metrics import declared_samples as declared
from exporter.metrics import samples as gauges
from exporter.metrics.auxiliary_samples import auxiliary_facts, auxiliary_samples
from exporter.metrics.definitions import BY_NAME, PROBE_METRICS, TARGET_METRICS
from exporter.metrics.exposition import Exposition
from exporter.metrics.rendering import OwnerValues, render_gauges
from exporter.metrics.samples import Values
from exporter.metrics.spec import Level, SeriesScope
from exporter.metrics.text_format import LabelSet
from exporter.state.records import TargetRecord, headers_after

_NO_LABELS = LabelSet.from_labels()


def probe_values(
    config: Config,
    target: Target,
    module: Module,
    report: ProbeReport,
    *,
    record: TargetRecord,
    counted: bool,
    phases: Collection[Phase],
) -> Values:
    """Return the values by family, with the durations of `phases`.

    If requested probes are counted, the record includes this one and its runs of failures.
    """
    return {
        **declared.config_samples(config, target, module, report.tenant or record.tenant),
        **gauges.report_samples(report, phases),
        **({"ekm_last_probe_timestamp_seconds": gauges.one(record.last_probe_at)} if report.discarded else {}),
        **gauges.key_samples(report.key or record.key),
        **gauges.vault_samples(headers_after(record.vault, report), module.expect_path),
        **auxiliary_samples(auxiliary_facts(target, record, report)),
        **gauges.on_demand_samples(report, record),
        **(gauges.run_samples(gauges.facts_of(record)) if counted else {}),
    }


def rendered(target: Target, base: LabelSet, values: Values, *, level: Level, openmetrics: bool) -> bytes:
    """Return the whole body; OpenMetrics includes the end mark."""
    page = Exposition(spec for spec in (*TARGET_METRICS, *PROBE_METRICS) if level.includes(spec.level) and not spec.is_counted)
    of_target = {name: samples for name, samples in values.items() if BY_NAME[name].scope is not SeriesScope.EXPORTER}
    of_exporter = {name: samples for name, samples in values.items() if name not in of_target}
    owners = OwnerValues(target.name, base, of_target), OwnerValues(target.name, _NO_LABELS, of_exporter)
    page.put(render_gauges(owners, page.names, encodes=False))
    return page.render(openmetrics=openmetrics) + (b"# EOF\n" if openmetrics else b"")
