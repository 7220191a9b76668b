"""The file of figures: partial runs, two commits, and the tables that are made from it."""

import pytest

from bench.figures import Figure
from bench.parts import PARTS, Outcome
from bench.results import MACHINE, compared, read, update, write
from docs.generators import performance
from docs.generators.performance import GOALS


def figure(*runs, what="a probe", **rest):
    return Figure(what=what, runs=runs, unit="ms", how="somehow", **rest)


def outcome(*runs, **rest):
    return Outcome([figure(*runs, **rest)])


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.setattr(performance, "FIGURES", tmp_path / "performance.csv")
    return performance.FIGURES


def test_comparison_has_the_ratio_of_each_common_figure():
    after = {"probes": Outcome([figure(2.0, 5.0), Figure(what="new", runs=[1], unit="", how="")])}
    _, row, failure = compared({"probes": Outcome([figure(4.0, 5.0)], "no server")}, after, "abc1234")
    assert row == "| a probe | 4.50 ms | 3.50 ms | 0.778 | 0.500 to 1.00 |"
    assert failure == "bench: abc1234: FAILED: probes (no server)"


def test_partial_run_replaces_the_rows_of_its_parts(file):
    update(file, {"start": outcome(1.0, what="first"), "fleet": outcome(2.0, what="second")}, ["Monday", "Linux"])
    update(file, {"fleet": outcome(3.0, what="second")}, ["Tuesday", "Linux"])
    assert [(row["part"], row["what"], row["median"] or row["how"]) for row in read(file)] == [
        (MACHINE, "Monday", "start"),
        (MACHINE, "Linux", "start fleet"),
        (MACHINE, "Tuesday", "fleet"),
        ("start", "first", "1.00"),
        ("fleet", "second", "3.00"),
    ]
    assert performance.machine() == "- `start`: Monday\n- Linux\n- `fleet`: Tuesday"


def test_text_of_most_parts_names_the_others(file):
    update(file, {name: outcome(1.0, what=name) for name in ("start", "steps", "fleet")}, ["Monday"])
    update(file, {"fleet": outcome(1.0, what="fleet")}, ["Tuesday"])
    assert performance.machine() == "- all but `fleet`: Monday\n- `fleet`: Tuesday"


def test_rows_are_in_the_order_of_the_parts(file):
    for name in reversed(PARTS):
        update(file, {name: outcome(1.0, what=name)}, ["Monday"])
    assert [row["part"] for row in read(file)] == [MACHINE, *PARTS]


def test_goals_are_compared_with_their_figures(file):
    goal = figure(1.2, what=GOALS[0], commit=2, aim=1.3)
    update(file, {"probes": Outcome([goal]), "start": outcome(9.0, what=GOALS[5], commit=5)}, [])
    lines = performance.goals().splitlines()
    assert f"| {GOALS[0]} | 1.20 ms | ≤ 1.3 | yes |" in lines
    assert f"| {GOALS[5]} | 9.00 ms | ≤ 5 | **no** |" in lines
    assert f"| {GOALS[1]} | not measured |  |  |" in lines
    assert len(lines) == 2 + len(GOALS)


def test_page_is_made_from_the_file(file):
    start = Figure(what="process start to first probe", runs=[0.9], unit="s", how="", commit=1.5, aim=0.7)
    write(file, [start.row("start"), figure(1.0).row("probes")])
    assert "| start of the process to its first probe | 0.900 s |" in performance.answers()
    assert "| 5,000 targets every 60 s | not measured |" in performance.answers()
    assert performance.bounds().splitlines()[2:] == [
        "| process start to first probe | 0.900 s | 0.900 to 0.900 | ≤ 1.5: met | ≤ 0.7: **not met** |"
    ]


def test_published_figures_are_of_a_whole_run():
    assert "size full" in read(performance.FIGURES)[0]["what"]
