"""Series of exporters and their targets as Prometheus scrapes them, in the notation of `promtool test rules`.

They follow from a literal list of probe outcomes, with restarts and lost scrapes.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from exporter.core.auxiliary import CREDENTIAL_REFUSED
from exporter.core.codes import BY_CODE
from exporter.metrics.declared_samples import error_samples
from exporter.metrics.definitions import ALERTED

SCRAPE = 15
NOTHING = "_"
Series = dict[tuple[str, tuple[tuple[str, str], ...]], list[str]]
STEPS = ("challenge", "token", "get_key", "wrap_key", "unwrap_key")


@dataclass(frozen=True)
class Failed:
    """A probe that failed. `ready` is its verdict; `failed` names further steps that failed with the same code."""

    step: str
    code: int
    reason: str
    ready: bool | None = False
    failed: tuple[str, ...] = ()
    unwraps: bool = False


OK = None
NOT_PROBED = "not probed"
READ = "read only"  # a good probe without wrap and unwrap
Outcome = Failed | str | None


@dataclass(frozen=True, kw_only=True)
class Target:
    """One target of one exporter. `probes` come one each `interval` seconds; `more` are further series, value by value.

    A reload removes the target at `removed` (in seconds).
    """

    name: str = "billing"
    vault: str = "contoso.vault.azure.net"
    interval: int = 60
    probes: Sequence[Outcome] = ()
    credential: str = "sql-prod"
    labels: Mapping[str, str] = field(default_factory=lambda: {"team": "dba", "env": "prod"})
    info: Mapping[str, str] = field(default_factory=dict)
    instances: Sequence[Mapping[str, str]] = (
        {"sql_instance": "SQLPRD02"},
        {"sql_instance": "SQLPRD01", "host": "n1", "ag": "AG7"},
    )
    region: str | None = "westeurope"
    removed: float = math.inf
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """An exporter. `restarts` and `gaps` are spans of seconds without a successful scrape.

    Counters begin at 0 after a restart. An exporter that is not `listed` is no scrape target in those spans.
    """

    targets: Sequence[Target] = ()
    instance: str = "mon1:10377"
    job: str = "ekm"
    restarts: Sequence[tuple[int, int]] = ()
    gaps: Sequence[tuple[int, int]] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    listed: bool = True


def series(exporters: Iterable[Exporter], length: int, scrape: int = SCRAPE) -> list[dict[str, str]]:
    """`input_series` for `length` seconds."""
    lines = []
    for exporter in exporters:
        found = _of_exporter(exporter, length // scrape + 1, scrape)
        for (name, labels), values in found.items():
            own = (("instance", exporter.instance), ("job", exporter.job))
            lines.append({"series": _named(name, (*labels, *own)), "values": _shortened(values)})
        of_exporter = {_with(name, exporter): values for name, values in exporter.more.items()}
        lines += [{"series": name, "values": values} for name, values in of_exporter.items()]
        for target in exporter.targets:
            lines += [{"series": _with(name, exporter, target), "values": values} for name, values in target.more.items()]
    return lines


def _of_exporter(exporter: Exporter, scrapes: int, scrape: int) -> Series:
    found: Series = {}
    away = [*exporter.restarts, *exporter.gaps]
    for place in range(scrapes):
        now = place * scrape
        scraped = not any(begin <= now < end for begin, end in away)
        shown = dict(_shown(exporter, now)) if scraped else {}
        if scraped or exporter.listed:
            shown["up", ()] = str(int(scraped))
        for key in shown.keys() - found.keys():
            found[key] = [NOTHING] * place
        for key, values in found.items():
            before = values[-1] if values else NOTHING
            values.append(shown.get(key, NOTHING if before in (NOTHING, "stale") else "stale"))
    return found


def _shown(exporter: Exporter, now: int) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], str]]:
    started = max((end for _, end in exporter.restarts if end <= now), default=0)
    yield ("ekm_exporter_build_info", (("mode", "run"), ("python", "3.13.5"), ("version", "0.1.0"))), "1"
    codes = {probe.code for target in exporter.targets for probe in target.probes if isinstance(probe, Failed)}
    for code in sorted(codes | {BY_CODE[code].counterpart or code for code in codes}):
        for labels, _ in error_samples(BY_CODE[code])["ekm_error_info"]:
            yield ("ekm_error_info", (("code", str(code)), *labels)), "1"
    for target in (one for one in exporter.targets if now < one.removed):
        for (name, labels), value in _of_target(target, started, now):
            yield (name, (("target", target.name), ("vault", target.vault), *labels)), value


def _of_target(target: Target, started: int, now: int) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], str]]:
    generation = target.info.get("generation", "classic")
    info = {
        "key": "tde/0123", "credential": target.credential, "module": "default", "mode": "full", "cloud": "public",
        "tenant": "contoso", "generation": generation, "pin": "config", "vantage": "central", **target.info, **target.labels,
    }  # fmt: skip
    yield ("ekm_target_info", tuple(info.items())), "1"
    yield ("ekm_probe_interval_seconds", ()), str(target.interval)
    for instance in target.instances:
        yield ("ekm_instance_info", tuple(instance.items())), "1"
    if target.region is not None:
        yield ("ekm_vault_info", (("region", target.region), ("service_version", "1"), ("connection", "private"))), "1"
    made = [
        (number * target.interval, probe)
        for number, probe in enumerate(target.probes)
        if started <= number * target.interval <= now and probe != NOT_PROBED
    ]
    yield from _counted(generation, [probe for _, probe in made])
    if made:
        yield ("ekm_last_probe_timestamp_seconds", ()), str(made[-1][0])
        yield from _gauges(target, [probe for _, probe in made])


def _counted(generation: str, made: Sequence[Outcome]) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], str]]:
    failed = [probe for probe in made if isinstance(probe, Failed)]
    with_verdict = [probe for probe in made if not isinstance(probe, Failed) or probe.ready is not None]
    yield ("ekm_probes_total", ()), str(len(made))
    yield ("ekm_probe_failures_total", ()), str(len(failed))
    unready = sum(probe.ready is False for probe in failed)
    yield ("ekm_probe_verdicts_total", (("verdict", "not_ready"),)), str(unready)
    yield ("ekm_probe_verdicts_total", (("verdict", "ready"),)), str(len(with_verdict) - unready)
    errors = {
        (step.value, code if generation == "classic" else BY_CODE[code].counterpart or code): 0
        for code, steps in ALERTED
        for step in steps
    }
    for probe in failed:
        for step in (probe.step, *probe.failed):
            errors[step, probe.code] = errors.get((step, probe.code), 0) + 1
    for (step, code), count in errors.items():
        yield ("ekm_errors_total", (("code", str(code)), ("step", step))), str(count)


def _run(made: Sequence[Outcome], bad: Sequence[bool]) -> int:
    return next((length for length, one in enumerate(reversed(bad)) if not one), len(made))


def _gauges(target: Target, made: Sequence[Outcome]) -> Iterator[tuple[tuple[str, tuple[tuple[str, str], ...]], str]]:
    last = made[-1]
    failed = isinstance(last, Failed)
    yield ("ekm_probe_success", ()), str(int(not failed))
    yield ("ekm_consecutive_failures", ()), str(_run(made, [isinstance(probe, Failed) for probe in made]))
    blocking = _run(made, [isinstance(probe, Failed) and {probe.step, *probe.failed} != {"wrap_key"} for probe in made])
    yield ("ekm_consecutive_blocking_failures", ()), str(blocking)
    unready = [isinstance(probe, Failed) and probe.ready is False for probe in made]
    yield ("ekm_consecutive_unready_probes", ()), str(_run(made, unready))
    if not isinstance(last, Failed):
        steps = dict.fromkeys(STEPS[:3] if last == READ else STEPS, 1)
        if target.info.get("mode") != "read_only":
            yield ("ekm_vault_side_ready", ()), "1"
    else:
        steps = dict.fromkeys(STEPS[: STEPS.index(last.step)], 1) | dict.fromkeys((last.step, *last.failed), 0)
        if last.unwraps:
            steps["unwrap_key"] = 1
        labels = {"step": last.step, "code": str(last.code), "symbol": BY_CODE[last.code].symbol, "reason": last.reason}
        yield ("ekm_last_failure_info", tuple(labels.items())), "1"
        if last.ready is not None:
            yield ("ekm_vault_side_ready", ()), str(int(last.ready))
    for step, value in steps.items():
        yield ("ekm_step_success", (("step", step),)), str(value)
    refused = isinstance(last, Failed) and last.reason in CREDENTIAL_REFUSED
    if steps.get("token") == 1 or refused:
        labels = {"credential": target.credential, "role": "current"}
        yield ("ekm_credential_usable", tuple(labels.items())), str(steps["token"])


def _with(name: str, exporter: Exporter, target: Target | None = None) -> str:
    """A series written as name{labels}, with the labels of its exporter, and of its target."""
    bare, _, own = name.partition("{")
    labels = [own.removesuffix("}")] if own else []
    if target is not None:
        labels += [f'target="{target.name}"', f'vault="{target.vault}"']
    return f"{bare}{{{','.join([*labels, *_pairs((('instance', exporter.instance), ('job', exporter.job)))])}}}"


def _named(name: str, labels: Iterable[tuple[str, str]]) -> str:
    return f"{name}{{{','.join(_pairs(labels))}}}"


def _pairs(labels: Iterable[tuple[str, str]]) -> list[str]:
    return [f'{label}="{value.translate(_ESCAPES)}"' for label, value in labels]


_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def _shortened(values: Sequence[str]) -> str:
    runs = [(value, len(list(run))) for value, run in groupby(values)]
    return " ".join(_repeated(value, count) for value, count in runs)


def _repeated(value: str, count: int) -> str:
    if value == "stale":
        return " ".join(["stale"] * count)
    return value if count == 1 else f"{value}x{count - 1 if value != NOTHING else count}"
