"""The arithmetic of docs/sizing.md, by a hand-written example, and what it shows of failing fleets."""

import re
from pathlib import Path

import pytest

from bench.failing import LIMIT, WAYS
from bench.sizes import FULL
from docs.generators import performance, sizing
from docs.generators.performance import figures
from docs.generators.sizing import Costs, costs, mostly_failed

CHART = (Path(__file__).parents[3] / "deploy" / "helm" / "ekm-exporter" / "values.yaml").read_text()
EXAMPLE = Costs(probe_ms=6, base_mb=100, target_kb=51.2, series_kb=4, sample_us=5)


def test_exporters_share_the_targets_and_the_bound_of_the_history_is_that_of_each():
    assert EXAMPLE.memory_mb(5000, 1) == 100 + 250 + 64
    assert EXAMPLE.memory_mb(2500, 2) == 200 + 125 + 32
    assert EXAMPLE.memory_mb(50_000, 2) == 200 + 2500 + 128


@pytest.mark.parametrize(
    ("cores", "memory_mb", "every", "most"),
    [
        (1, 8192, 60.0, "5,000 (processor)"),  # half a core for 6 ms each minute
        (1, 8192, 300.0, "15,000 (processor)"),
        (
            1,
            512,
            60.0,
            "2,500 (memory)",
        ),  # 384 MB less 100; a target takes 0.05 MB, 0.0128 of the history and 0.05 of one that waits
    ],
)
def test_machine_has_room_for_as_many_vaults_as_processor_and_memory_permit(cores, memory_mb, every, most):
    assert sizing._most(EXAMPLE, cores, memory_mb, every) == most


def test_missing_figure_is_named(monkeypatch, tmp_path):
    (tmp_path / "performance.csv").write_text("part,what\n", encoding="utf-8")
    monkeypatch.setattr(performance, "FIGURES", tmp_path / "performance.csv")
    with pytest.raises(LookupError, match="processor time a probe"):
        costs()


def test_failing_fleet_fits_the_chart_limit():
    limit, targets = re.search(r"limits: \{memory: (\d+)Mi\} +# for up to ([\d,]+) targets", CHART).groups()
    assert (int(limit), int(targets.replace(",", ""))) == (LIMIT, max(FULL.failing_fleets))
    measured = [figures()[f"{size:,} targets, {way}: resident memory"] for size in FULL.failing_fleets for way in WAYS]
    assert max(float(one["median"]) for one in measured if mostly_failed(one["how"])) < LIMIT
