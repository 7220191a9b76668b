"""Accuracy of the time of a step, compared with the wait that the server measured.

Measures the error of the `wait` phase of the exporter and of `processing` of blackbox_exporter, against the server's own median wait.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.figures import Figure, ratios
from bench.programs import Bench, Fleet, blackbox, exporter, query_blackbox
from bench.querying import counts, metrics, values
from bench.sizes import Sizes

WAIT = 0.02  # seconds before each response
_RUNS = 3


def waits(text: str) -> list[float]:
    """The wait phases in seconds of the steps at the vault."""
    phases = values(text, "ekm_step_phase_duration_seconds")
    return [took for labels, took in phases.items() if 'phase="wait"' in labels and 'step="token"' not in labels]


def error(found: list[float], waited: float) -> float:
    """The median error in milliseconds. `waited` is the median wait of the server in seconds."""
    return 1000 * statistics.median(abs(one - waited) for one in found)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Measure with a server that waits before each response."""
    runs = min(_RUNS, sizes.runs)
    exporter_runs, theirs = list[float](), list[float]()
    fleet = Fleet(targets=sizes.step_targets, interval=sizes.step_interval)
    with exporter(bench, fleet) as running:
        time.sleep(1.3 * sizes.step_interval)
        for _ in range(runs):
            counts(bench)
            time.sleep(1.1 * sizes.step_interval)
            waited = counts(bench)["waited"]
            exporter_runs.append(error(waits(metrics(running.url)), waited))
    with blackbox(bench) as other:
        for _ in range(runs):
            counts(bench)
            texts = query_blackbox(bench, other, sizes.step_targets, over=sizes.step_interval)
            found = [values(text, "probe_http_duration_seconds")['phase="processing"'] for text in texts]
            theirs.append(error(found, counts(bench)["waited"]))
    pace = f"{sizes.step_targets} targets, one after the other over {sizes.step_interval:g} s; against the server's own clock"
    yield Figure(what="median error of a step, server waits 20 ms", runs=exporter_runs, unit="ms", aim=0.3, how=pace)
    yield Figure(what="error of a step by blackbox_exporter (`processing`)", runs=theirs, unit="ms", how=pace)
    what = "error of a step, against blackbox_exporter"
    yield Figure(what=what, runs=ratios(exporter_runs, theirs), unit="times", commit=1.0, aim=0.8, how="from the figures above")
