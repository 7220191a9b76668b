"""A declared maintenance window has a metric and is excluded from the service level."""

from datetime import UTC, datetime

import pytest

from exporter.config.settings import MaintenanceWindow
from tests.support.metric_factories import START, a_config, a_recorder, a_report, a_target, add, probed, scrape, series


def window(start, end):
    return MaintenanceWindow(datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))


def after(windows, *, ready=False):
    recorder = a_recorder(config=a_config(a_target(maintenance=windows)))
    probed(recorder, a_report(ready=ready))
    return series(scrape(recorder), "ekm_maintenance"), series(scrape(recorder), "ekm_probe_verdicts_total")


@pytest.mark.parametrize(("start", "end", "inside"), [(-10, 10, True), (0, 10, True), (-10, 0, False), (10, 20, False)])
def test_maintenance_is_shown_for_the_time_of_the_probe(start, end, inside):
    shown, _ = after((window(START + start, START + end),))
    assert list(shown.values()) == [float(inside)]


@pytest.mark.parametrize("ready", [True, False])
def test_verdict_in_a_maintenance_window_is_not_counted(ready):
    _, inside = after((window(START - 10, START + 10),), ready=ready)
    _, outside = after((window(START + 10, START + 20),), ready=ready)
    assert sum(inside.values()) == 0
    assert sum(outside.values()) == 1


def test_maintenance_without_a_window_has_no_series():
    assert after(())[0] == {}


def test_maintenance_follows_each_probe_and_a_removed_window():
    recorder = a_recorder(config=a_config(a_target(maintenance=(window(START, START + 10),))))
    found = []
    for at in (0, 5, 20, 30):
        probed(recorder, a_report(started_at=START + at))
        found += series(scrape(recorder), "ekm_maintenance").values()
    add(recorder, a_target())
    probed(recorder, a_report(started_at=START + 40))

    assert found == [1, 1, 0, 0]
    assert series(scrape(recorder), "ekm_maintenance") == {}
