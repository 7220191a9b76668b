"""Accuracy of the time of a step, compared with the wait that the server measured.

Measures the error of the `wait` phase of the exporter and of `processing` of blackbox_exporter, against the server's own median wait.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator

from bench.figures import Figure, ratios
from bench.programs import Bench, Fleet, blackbox, exporter, query_blackbox
from bench.querying import Watch, behave, metrics, values
from bench.sizes import Sizes

_WAIT = 0.02  # seconds before each response
_RUNS = 3


def error(found: Iterable[float], waited: float) -> float:
    """The median error in milliseconds. `waited` is the median wait of the server in seconds."""
    return 1000 * statistics.median(abs(one - waited) for one in found)


def measure(bench: Bench, sizes: Sizes) -> Iterator[Figure]:
    """Measure with a server that waits before each response."""
    runs, ours, theirs = range(min(_RUNS, sizes.runs)), list[float](), list[float]()
    behave(bench, wait=_WAIT)
    with exporter(bench, Fleet(targets=sizes.targets, interval=sizes.interval)) as running:
        time.sleep(1.3 * sizes.interval)
        for _ in runs:
            watch = Watch(bench, running.pid)
            time.sleep(1.1 * sizes.interval)
            waited, phases = watch.stop().waited, values(metrics(running.url), "ekm_step_phase_duration_seconds")
            ours.append(error((phases[name] for name in phases if 'phase="wait"' in name and 'step="token"' not in name), waited))
    with blackbox(bench) as other:
        for _ in runs:
            watch = Watch(bench, other.pid)
            texts = query_blackbox(bench, other, sizes.targets, over=sizes.interval)
            found = (values(text, "probe_http_duration_seconds")['phase="processing"'] for text in texts)
            theirs.append(error(found, watch.stop().waited))
    how = f"{sizes.targets} targets, one after the other over {sizes.interval:g} s; against the server's own clock"
    yield Figure("median error of a step, server waits 20 ms", ours, "ms", how, aim=0.3)
    yield Figure("error of a step by blackbox_exporter (`processing`)", theirs, "ms", how)
    how = "from the figures above"
    yield Figure("error of a step, against blackbox_exporter", ratios(ours, theirs), "times", how, commit=1.0, aim=0.8)
