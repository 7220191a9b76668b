"""The file of figures: partial runs, two commits, and the tables that are made from it."""

import csv
import sys

import pytest

from bench.figures import Figure
from bench.parts import PARTS, Outcome
from bench.profile import GROUPS, group, named
from bench.results import BEFORE, MACHINE, compared, read, update, write
from docs.generators import performance
from docs.generators.performance import GOALS, OTHERS


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
    update(file, {"start": outcome(1.0, what="first"), "day": outcome(2.0, what="second")}, {}, ["Monday", "Linux"])
    update(file, {"day": outcome(3.0, what="second")}, {}, ["Tuesday", "Linux"])
    assert [(row["part"], row["what"], row["median"] or row["how"]) for row in read(file)] == [
        (MACHINE, "Monday", "start"),
        (MACHINE, "Linux", "start day"),
        (MACHINE, "Tuesday", "day"),
        ("start", "first", "1.00"),
        ("day", "second", "3.00"),
    ]
    assert performance.machine() == "- `start`: Monday\n- Linux\n- `day`: Tuesday"


def test_text_of_most_parts_names_the_others(file):
    update(file, {name: outcome(1.0, what=name) for name in ("start", "steps", "day")}, {}, ["Monday"])
    update(file, {"day": outcome(1.0, what="day")}, {}, ["Tuesday"])
    assert performance.machine() == "- all but `day`: Monday\n- `day`: Tuesday"


def test_rows_are_in_the_order_of_the_parts(file):
    for name in reversed(PARTS):
        update(file, {name: outcome(1.0, what=name)}, {}, ["Monday"])
    assert [row["part"] for row in read(file)] == [MACHINE, *PARTS]


def test_run_without_comparison_has_no_earlier_figures(file):
    update(file, {"day": outcome(1.0)}, {"day": outcome(2.0)}, [])
    assert [row["before"] for row in read(file)] == ["2.00"]
    update(file, {"day": outcome(1.0)}, {}, [])
    assert [row["before"] for row in read(file)] == [""]


def test_goals_have_both_commits_and_the_drift(file):
    goal, other = figure(1.2, what=GOALS[0], commit=2, aim=1.3), figure(3.0, what=OTHERS[0])
    before = {"probes": Outcome([figure(1.5, what=GOALS[0]), figure(2.0, what=OTHERS[0])])}
    update(file, {"probes": Outcome([goal, other]), "start": outcome(9.0, what=GOALS[5], commit=5)}, before, [])
    lines = performance.goals().splitlines()
    assert f"| {GOALS[0]} | 1.50 ms | 1.20 ms | ≤ 1.3 | yes |" in lines
    assert f"| {GOALS[5]} | not measured | 9.00 ms | ≤ 5 | **no** |" in lines
    assert f"| {GOALS[1]} | not measured | not measured |  |  |" in lines
    assert f"| {OTHERS[0]} | 2.00 ms | 3.00 ms | 1.50 times |" in lines
    assert len(lines) == 2 + len(GOALS) + 3 + 1


def test_commit_of_the_earlier_figures_is_named(file):
    update(file, {"probes": outcome(1.0)}, {}, ["Monday", f"{BEFORE}abc1234 of 2026-11-01"])
    assert performance.goals().splitlines()[0] == "*Before* is commit abc1234 of 2026-11-01."
    assert performance.machine() == "- Monday"


def test_profile_has_a_row_for_each_group(file):
    write(file, [figure(20.0, what="share of a probe, 20 targets per credential: aiohttp").row("profile")])
    lines = performance.profile().splitlines()
    assert "| aiohttp | 20.0 | not measured |" in lines
    assert len(lines) == 2 + len(GROUPS)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/lib/python3.13/ssl.py", "OpenSSL with `ssl`"),
        ("/opt/.venv/lib/python3.13/site-packages/azure/core/rest/_helpers.py", "Azure's SDK"),
        ("/opt/exporter/clients/http/exchange.py", "`exporter.clients`"),
        ("/opt/exporter/app/service.py", "other packages of the exporter"),
        ("/opt/bench/profile.py", "garbage collection"),
        ("/usr/lib/python3.13/json/decoder.py", None),
        ("<string>", None),
    ],
)
def test_file_belongs_to_a_group_of_the_profile(path, name):
    assert group(path) == name
    assert name is None or name in GROUPS


def test_helper_of_python_counts_for_its_caller():
    names = {"named": named, "sys": sys}
    for path, text in (
        ("/usr/lib/python3.13/json/decoder.py", "def helper(): return named(sys._getframe())"),
        ("/opt/exporter/core/values.py", "found = helper()"),
    ):
        exec(compile(text, path, "exec"), names)  # noqa: S102 - the texts above
    assert names["found"] == "`exporter.core`"


def test_page_is_made_from_the_file(monkeypatch, tmp_path):
    file = tmp_path / "performance.csv"
    start = Figure(what="process start to first probe", runs=[0.9], unit="s", how="", commit=1.5, aim=0.7)
    write(file, [start.row("start"), figure(1.0).row("probes")])
    monkeypatch.setattr(performance, "FIGURES", file)
    assert "| start of the process to its first probe | 0.900 s |" in performance.answers()
    assert "| a day | not measured |" in performance.answers()
    assert performance.bounds().splitlines()[2:] == [
        "| process start to first probe | not measured | 0.900 s | 0.900 to 0.900 | ≤ 1.5: met | ≤ 0.7: **not met** |"
    ]


def test_published_figures_are_of_a_whole_run():
    with performance.FIGURES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert "size full" in rows[0]["what"]
