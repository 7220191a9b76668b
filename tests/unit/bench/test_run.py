"""The whole benchmark runs at its smallest size against the real blackbox_exporter."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from bench import parts
from bench.figures import COLUMNS, Figure
from bench.parts import PARTS, Outcome, Part, Run, outcomes
from bench.sizes import TINY
from docs.generators.performance import GOALS, OTHERS

ROOT = Path(__file__).parents[3]
SIZES = {"5,000 targets every 60 s": "10 targets every 1 s", "of 5,000 targets": "of 10 targets", "1,250 fail": "8 fail"}
FIGURE = Figure(what="one", runs=[1.0], unit="", how="")


@pytest.mark.real
def test_one_command_measures_everything_and_writes_one_file(tmp_path):
    path = tmp_path / "performance.csv"
    command = [sys.executable, "-m", "bench", "--size", "tiny", "--out", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)  # noqa: S603 - fixed commands
    assert done.returncode == 0, done.stderr[-3000:]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert list(dict.fromkeys(row["part"] for row in rows)) == ["machine", *PARTS]
    named = " ".join(row["what"] for row in rows)
    for what in (
        "blackbox_exporter, version",
        "bare aiohttp",
        "generate_latest",
        "start lag",
        "growth",
        "error of a step",
        "first probe",
        "share of a probe, 20 targets per credential: aiohttp",
        "every 1 s: processor time, against a probe of blackbox_exporter",
        "explain 3303, against",
        "longest pause",
        "targets in three causes: size",
        "by time-out",
        "by refusal",
        "by 429",
        "silent name servers",
        "protobuf",
        "in one Prometheus",
        "hours of",
        "SQL Servers read every 60 s: median error of a step, against without",
        "a reading: statements",
        "ekm.rules.yml: processor time of its texts",
    ):
        assert what in named
    of_this_size = {row["what"] for row in rows}
    for name in (*GOALS, *OTHERS):
        for full, tiny in SIZES.items():
            name = name.replace(full, tiny)  # noqa: PLW2901 - the name at the smallest size
        assert name in of_this_size


def test_each_part_is_measured_in_both_trees_before_the_next(monkeypatch, tmp_path):
    monkeypatch.setattr(parts, "PARTS", {name: Part(lambda *_: iter([FIGURE])) for name in ("first", "second")})
    seen = []
    runs = [
        Run(sizes=TINY, folder=tmp_path / tree, on_figure=lambda name, _, tree=tree: seen.append((name, tree)))
        for tree in ("before", "after")
    ]
    assert [list(found) for found in outcomes(runs, ["first", "second"])] == [["first", "second"]] * 2
    assert seen == [("first", "before"), ("first", "after"), ("second", "before"), ("second", "after")]


@pytest.mark.parametrize("quiet", [True, False])
def test_failed_part_keeps_its_figures_and_those_of_the_others(quiet, monkeypatch, tmp_path):
    def crash(*_):
        yield FIGURE
        raise RuntimeError("no server")

    monkeypatch.setattr(parts, "PARTS", {"crash": Part(crash, quiet=quiet), "good": Part(lambda *_: iter([FIGURE]))})
    seen = []
    run = Run(sizes=TINY, folder=tmp_path, on_figure=lambda name, figure: seen.append((name, figure)))
    (found,) = outcomes([run], ["crash", "good"])
    assert found == {"crash": Outcome([FIGURE], "RuntimeError: no server"), "good": Outcome([FIGURE])}
    assert seen == [("crash", FIGURE), ("good", FIGURE)]
