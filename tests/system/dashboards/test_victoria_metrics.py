"""Every query of every dashboard in VictoriaMetrics, compared with Prometheus on the same two recorded histories."""

from __future__ import annotations

import contextlib
import math
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.dashboards.boards import Query, queries, variables
from tests.system.dashboards.conftest import wait_until_ready
from tests.system.dashboards.queries import HEALTHY_ENDS, NO_PROXY, TROUBLED_ENDS, History
from tests.system.dashboards.recorded_history import MINUTES
from tests.system.prometheus.servers import free_port

pytestmark = pytest.mark.real

QUERIES = list(queries())
EXACT = 1e-9
# A window of 5 minutes begins before the history then. The engines divide its first increases by different times, and VictoriaMetrics
# shows one after the second sample already.
FIRST_MINUTES = 6


@dataclass(frozen=True)
class Difference:
    """`within`: the largest relative difference of a value. `points`: how many times one engine alone has a value, in both histories."""

    reason: str
    within: float = 0
    points: int = 0


EDGES = "increase() counts from the sample before the window, and Prometheus extrapolates to the edges of the window"
BORN = "A counter that is born in the window counts from zero; Prometheus misses its first increase and extrapolates the others"
GONE = "A series that ends is shown for two scrape intervals, by Prometheus for five minutes"
DIFFERENCES = {
    "ekm-fleet: Every target, worst first: C": Difference(EDGES, within=0.005),
    "ekm-fleet: Failures by code: A": Difference(BORN, within=0.07),
    "ekm-service-level: Ready: A": Difference(EDGES, within=0.005),
    "ekm-service-level: Budget left: A": Difference(EDGES, within=0.005),
    "ekm-service-level: Targets by budget spent: A": Difference(EDGES, within=0.005),
    **{f"ekm-service-level: Burn rate, mean of all targets: {window}": Difference(EDGES, within=0.03) for window in "ABCD"},
    "ekm-service-level: Burn rate over 2h, worst targets: A": Difference(EDGES, within=0.03),
    "ekm-service-level: Ready, by vantage: A": Difference(EDGES, within=0.005),
    "ekm-vault: Success: A": Difference(EDGES, within=0.005),
    "ekm-vault: Errors by code: A": Difference(BORN, within=0.26, points=3),
    "ekm-vault: Errors in the chosen time range: A": Difference(BORN, within=0.07),
    "ekm-vault: Phases of the chosen steps: A": Difference(GONE, within=0.07),
    "ekm-vault: Retry-After: A": Difference(GONE, points=24),
}
# topk chooses any of several equal series, and each engine another one: compared without their labels, in the order of their values.
TIED = {"ekm-service-level: Burn rate over 2h, worst targets: A"}


@dataclass(frozen=True)
class Both:
    prometheus: History
    victoria_metrics: History


@contextlib.contextmanager
def importing(place: Path, history: Path) -> Iterator[History]:
    """Serve the samples of a text file from VictoriaMetrics within the context."""
    url = f"http://127.0.0.1:{free_port()}"
    flags = [f"-storageDataPath={place}/data", f"-httpListenAddr={url.removeprefix('http://')}", "-retentionPeriod=100y"]
    with (place / "log").open("wb") as log:
        server = subprocess.Popen(["victoria-metrics", *flags, "-search.latencyOffset=0s"], stdout=log, stderr=log)  # noqa: S603, S607 - Debian's
        try:
            wait_until_ready(f"{url}/health", server, place / "log")
            with NO_PROXY.open(urllib.request.Request(f"{url}/api/v1/import/prometheus", history.read_bytes())):  # noqa: S310 - loopback
                pass
            with NO_PROXY.open(f"{url}/internal/force_flush"):
                yield History(url)
        finally:
            server.terminate()
            server.wait()


@pytest.fixture(scope="module")
def both(history: History, recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with importing(tmp_path_factory.mktemp("victoria"), recorded / "history.txt") as victoria_metrics:
        yield Both(history, victoria_metrics)


Curves = dict[frozenset[tuple[str, str]], dict[float, float]]


def answer(history: History, query: Query, ends: float) -> Curves:
    """Return the values of each series by time, without NaN and without the first minutes of a range."""
    expression = query.filled(target=".+")
    found = (
        history.curves(expression, ends)
        if query.range
        else [(labels, {ends: at}) for labels, at in history.now(expression, ends)]
    )
    start = ends - (MINUTES - FIRST_MINUTES) * 60 if query.range else 0
    curves = {
        frozenset(labels.items()): {at: y for at, y in values.items() if at >= start and not math.isnan(y)}
        for labels, values in found
    }
    curves = {labels: values for labels, values in curves.items() if values}
    return ranked(curves) if str(query) in TIED else curves


def ranked(curves: Curves) -> Curves:
    """Return the curve of the largest values, of the second largest, and so on."""
    result: Curves = {}
    for at in sorted({at for values in curves.values() for at in values}):
        for rank, value in enumerate(sorted((values[at] for values in curves.values() if at in values), reverse=True)):
            result.setdefault(frozenset({("rank", str(rank))}), {})[at] = value
    return result


def compared(both: Both, query: Query) -> tuple[float, int]:
    """Return the largest relative difference, and the number of times that one engine alone has. The series must be the same."""
    worst, alone = 0.0, 0
    for ends in (HEALTHY_ENDS, TROUBLED_ENDS):
        expected, found = answer(both.prometheus, query, ends), answer(both.victoria_metrics, query, ends)
        assert set(found) == set(expected)
        for labels, values in expected.items():
            alone += len(values.keys() ^ found[labels].keys())
            worst = max(worst, *(_apart(values[at], found[labels][at]) for at in values.keys() & found[labels].keys()), 0.0)
    return worst, alone


def _apart(one: float, other: float) -> float:
    return 0.0 if one == other else abs(one - other) / max(abs(one), abs(other))


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_query_has_the_series_and_values_of_prometheus(both, query):
    expected = DIFFERENCES.get(str(query), Difference(""))
    worst, alone = compared(both, query)
    assert worst <= max(expected.within, EXACT)
    assert alone <= expected.points
    assert not expected.reason or worst > EXACT or alone, "this query no longer differs: remove its line"


@pytest.mark.parametrize("variable", list(variables()), ids=lambda variable: f"{variable.board}: {variable.name}")
def test_variable_has_the_values_of_prometheus(both, variable):
    assert both.victoria_metrics.values_of(variable, TROUBLED_ENDS) == both.prometheus.values_of(variable, TROUBLED_ENDS)


def test_dashboard_of_alerts_lists_those_without_a_target(both):
    """VictoriaMetrics takes a matcher that ends in `|` for one without it, which needs the label."""
    alerts: Mapping[str, int] = {
        matcher: len(both.victoria_metrics.now(f'ALERTS{{target=~"{matcher}"}}', TROUBLED_ENDS)) for matcher in (".+|", "(.+)?")
    }
    assert alerts == {".+|": 2, "(.+)?": 7}
    assert len(both.prometheus.now('ALERTS{target=~".+|"}', TROUBLED_ENDS)) == 7


def test_names_of_differences_exist():
    assert {str(query) for query in QUERIES} >= {*DIFFERENCES, *TIED}
