"""The answer to /probe: what one requested probe showed, and what else is last known of its target.

For: gauges and infos of one target, so that an exporter without a schedule, whose /metrics has no gauges of targets, shows a
staged credential, a key's expiry or a run of failures all the same, and keeps showing them while probes fail.
Not for: counters and histograms (they stand on /metrics alone), remembering anything (see `recorder`), HTTP.
"""

from __future__ import annotations

from exporter.config.model import Config, Module, Target
from exporter.core.model import ProbeReport
from exporter.metrics import samples as gauges
from exporter.metrics.auxiliary_samples import auxiliary_samples
from exporter.metrics.definitions import BY_NAME, OF_PROBE, OF_TARGETS
from exporter.metrics.exposition import Exposition
from exporter.metrics.samples import Values
from exporter.metrics.spec import MetricType, Scope
from exporter.metrics.text_format import LabelSet, line
from exporter.state.records import TargetRecord, headers_after

_NO_LABELS = LabelSet.of()


def answer(config: Config, target: Target, module: Module, report: ProbeReport, *, record: TargetRecord, counted: bool) -> Values:
    """Return the values by family. If requested probes are counted, the record includes this one and its runs of failures."""
    return {
        **gauges.config_samples(config, target, module, report.tenant or record.tenant),
        **gauges.report_samples(report),
        **gauges.key_samples(report.key or record.key),
        **gauges.vault_samples(headers_after(record.vault, report), module.expect_path),
        **auxiliary_samples(target, record, report),
        **gauges.on_demand_samples(report, record),
        **(gauges.run_samples(record) if counted else {}),
    }


def rendered(target: Target, base: LabelSet, values: Values, *, openmetrics: bool) -> bytes:
    """The whole answer, with the end mark where the format has one."""
    page = Exposition(spec for spec in (*OF_TARGETS, *OF_PROBE) if spec.kind not in (MetricType.COUNTER, MetricType.HISTOGRAM))
    for name, samples in values.items():
        labels = _NO_LABELS if BY_NAME[name].scope is Scope.EXPORTER else base
        page.put(name, target.name, "".join([line(name, own, labels, value) for own, value in samples]))
    return page.render(openmetrics=openmetrics) + (b"# EOF\n" if openmetrics else b"")
