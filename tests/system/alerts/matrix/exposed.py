"""Series of many exporters in the notation of `promtool test rules`, built probe by probe.

For hundreds of targets over hours: a value is computed when a probe ends, and repeated until the next probe.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels]


@dataclass(frozen=True)
class Fault:
    """A failure of a probe. `also` are further steps with the same code; `ready` is the verdict despite the fault."""

    step: str
    code: int
    reason: str
    also: tuple[str, ...] = ()
    ready: bool = False


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target of one exporter. `probes[n]` is the fault of probe n, or None; a probe ends at `n * interval` seconds."""

    instance: str
    name: str
    interval: int
    probes: Sequence[Fault | None]
    mode: str = "full"
    pin: str = "config"
    region: str = "westeurope"
    credential: str = "sql"
    maintenance: Sequence[int] = ()  # begin and end, in seconds
    labels: Mapping[str, str] = field(default_factory=dict)  # of the scrape target
    job: str = "ekm"
    scraped: tuple[int, int] = (0, 10**9)  # from when to when, in seconds

    @property
    def vault(self) -> str:
        return f"{self.name}.vault.azure.net"

    @property
    def has_verdict(self) -> bool:
        return self.mode != "canary" and self.pin == "config"


STEPS = ("challenge", "token", "get_key", "wrap_key", "unwrap_key")
AT_ZERO = (
    *((step, code) for code in (3011, 3077) for step in STEPS[2:]),
    ("token", 3303),
)


class Exposed:
    """The series of one target on /metrics, updated probe by probe."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.steps = STEPS[:3] if target.mode == "read_only" else STEPS
        self.counters: dict[Sample, int] = {("ekm_probes_total", ()): 0, ("ekm_probe_failures_total", ()): 0}
        if target.has_verdict and target.mode == "full":
            self.counters |= {("ekm_probe_verdicts_total", (("verdict", verdict),)): 0 for verdict in ("ready", "not_ready")}
        self.counters |= {_error(step, code): 0 for step, code in AT_ZERO if step in self.steps}
        self.runs = dict.fromkeys(("failures", "blocking_failures", "unready_probes"), 0)
        self.gauges: dict[Sample, float] = {}

    def add(self, fault: Fault | None, now: int) -> None:
        verdict = self._verdict(fault)
        self._count(fault, verdict)
        bad = {
            "failures": fault is not None,
            "blocking_failures": fault is not None and {fault.step, *fault.also} != {"wrap_key"},
            "unready_probes": verdict is False,
        }
        self.runs = {name: self.runs[name] + 1 if bad[name] else 0 for name in self.runs}
        self.gauges = dict(self._gauges(fault, verdict, now))

    def _verdict(self, fault: Fault | None) -> bool | None:
        if not self.target.has_verdict:
            return None
        if fault is not None:
            return fault.ready
        return None if self.target.mode == "read_only" else True

    def _count(self, fault: Fault | None, verdict: bool | None) -> None:
        names: list[Sample] = [("ekm_probes_total", ())]
        if fault is not None:
            names.append(("ekm_probe_failures_total", ()))
            names += [_error(step, fault.code) for step in (fault.step, *fault.also)]
        if verdict is not None and self.target.mode == "full":
            names.append(("ekm_probe_verdicts_total", (("verdict", "ready" if verdict else "not_ready"),)))
        for name in names:
            self.counters[name] = self.counters.get(name, 0) + 1

    def _gauges(self, fault: Fault | None, verdict: bool | None, now: int) -> Iterator[tuple[Sample, float]]:
        yield ("ekm_last_probe_timestamp_seconds", ()), now
        yield ("ekm_probe_success", ()), fault is None
        if verdict is not None:
            yield ("ekm_vault_side_ready", ()), verdict
        for name, run in self.runs.items():
            yield (f"ekm_consecutive_{name}", ()), run
        done = self.steps if fault is None else STEPS[: STEPS.index(fault.step)]
        for step in done:
            yield ("ekm_step_success", (("step", step),)), 1
        if "token" in done or (fault is not None and fault.code == 3303):
            labels = (("credential", self.target.credential), ("role", "current"))
            yield ("ekm_credential_usable", labels), "token" in done
        if fault is not None:
            labels = (("step", fault.step), ("code", str(fault.code)), ("symbol", "Symbol"), ("reason", fault.reason))
            yield ("ekm_last_failure_info", labels), 1

    def samples(self, now: int) -> Iterator[tuple[Sample, float]]:
        target = self.target
        info = {"key": "tde/1", "credential": target.credential, "mode": target.mode, "pin": target.pin, "vantage": "sql_host"}
        info |= {"team": "dba", "env": "prod"}
        yield ("ekm_target_info", tuple(info.items())), 1
        yield ("ekm_vault_info", (("region", target.region),)), 1
        yield ("ekm_probe_interval_seconds", ()), target.interval
        if target.maintenance:
            yield ("ekm_maintenance", ()), target.maintenance[0] <= now < target.maintenance[1]
        yield from self.counters.items()
        yield from self.gauges.items()


def _error(step: str, code: int) -> Sample:
    return ("ekm_errors_total", (("step", step), ("code", str(code))))


def input_series(targets: Sequence[Target], length: int, scrape: int) -> list[dict[str, str]]:
    """`input_series` for `length` seconds, one scrape each `scrape` seconds."""
    exporters = {target.instance: target for target in targets}
    lines = [
        (f"{name}{{{_own(target)}}}", f"1x{length // scrape}")
        for target in exporters.values()
        for name in ("up", "ekm_exporter_build_info")
    ]
    for target in targets:
        lines += _lines(target, length, scrape)
    return [{"series": name, "values": values} for name, values in lines]


def _own(target: Target) -> str:
    own = {"instance": target.instance, "job": target.job, **target.labels}
    return ",".join(f'{label}="{value}"' for label, value in own.items())


def _lines(target: Target, length: int, scrape: int) -> Iterator[tuple[str, str]]:
    exposed, made = Exposed(target), 0
    runs: dict[Sample, list[tuple[str, int]]] = {}
    for place, now in enumerate(range(0, length + 1, scrape)):
        while made < len(target.probes) and made * target.interval <= now:
            exposed.add(target.probes[made], made * target.interval)
            made += 1
        shown = dict(exposed.samples(now)) if target.scraped[0] <= now < target.scraped[1] else {}
        _append(runs, {sample: f"{value:g}" if value < 1e6 else str(value) for sample, value in shown.items()}, place)
    for (name, labels), values in runs.items():
        more = "".join(f'{label}="{value}",' for label, value in labels)
        own = f'target="{target.name}",vault="{target.vault}",{_own(target)}'
        yield f"{name}{{{more}{own}}}", " ".join(_repeated(value, count) for value, count in values)


def _append(runs: dict[Sample, list[tuple[str, int]]], shown: Mapping[Sample, str], place: int) -> None:
    for sample in shown.keys() - runs.keys():
        runs[sample] = [("_", place)] if place else []
    for sample, values in runs.items():
        last = values[-1][0] if values else "_"
        value = shown.get(sample, "_" if last in ("_", "stale") else "stale")
        if values and last == value:
            values[-1] = (value, values[-1][1] + 1)
        else:
            values.append((value, 1))


def _repeated(value: str, count: int) -> str:
    if value == "_":
        return f"_x{count}"
    return value if count == 1 else f"{value}x{count - 1}"
