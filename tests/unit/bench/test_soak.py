"""The rules of a soak: published runs, broken limits and parts, and the row of a killed process."""

import math
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from bench import soak
from bench.document import UNMEASURED
from bench.failing import LIMIT, WAYS, Observed, figures
from bench.processes import ended
from bench.programs import Fleet, configuration
from bench.sizes import FULL, TINY
from bench.soak import BEFORE, DOCUMENT, PARTS, SIZING, attempted, main, parsed, resized
from bench.table import Figure


@pytest.mark.parametrize(
    ("arguments", "published"),
    [
        ([], True),
        (["--minutes", "90"], True),
        (["--minutes", "6"], False),
        (["failing"], False),
        (["--tiny"], False),
    ],
)
def test_only_whole_run_is_written_to_the_page(arguments, published):
    assert (parsed(arguments).out == DOCUMENT) == published


@pytest.mark.parametrize("arguments", [["everything"], ["--minutes", "0"], ["--minutes", "-1"]])
def test_soak_refuses_invalid_arguments(arguments, capsys):
    with pytest.raises(SystemExit):
        parsed(arguments)
    assert "error:" in capsys.readouterr().err


def figure(value, commit):
    return Figure(what="memory", runs=[value], unit=" MB", commit=commit, how="")


@pytest.mark.parametrize(
    ("value", "commit", "met"), [(1, 2, True), (2, 2, True), (3, 2, False), (3, None, True), (math.inf, 5, False)]
)
def test_figure_is_compared_with_its_limit(value, commit, met):
    assert figure(value, commit).met == met


@pytest.mark.parametrize(("value", "code"), [(1, 0), (9, 1)])
def test_broken_limit_sets_the_exit_code_and_a_table_row(value, code, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(soak.Part, "run", lambda *_: iter([figure(value, 5)]))
    monkeypatch.setattr(soak, "machine", list)
    out = tmp_path / "soak.md"
    assert main(["--minutes", "1", "--out", str(out)]) == code
    rows = [line for line in out.read_text().splitlines() if line.startswith("| memory")]
    assert len(rows) == len(PARTS)
    assert rows[0] in capsys.readouterr().out


def test_failed_part_is_a_broken_limit_and_the_next_part_runs(monkeypatch, tmp_path):
    def run(*_):
        yield figure(1, 5)
        raise RuntimeError("no server")

    monkeypatch.setattr(soak.Part, "run", run)
    first, second = attempted(PARTS[0], tmp_path, 1, TINY)
    assert (first.met, second.met) == (True, False)
    assert "RuntimeError: no server" in second.how


def test_killed_process_breaks_the_limit_at_a_named_time():
    found = list(figures(1000, WAYS[0], Observed(most=LIMIT + 1.0, killed=81.4), TINY))
    assert [one.met for one in found] == [False]
    assert "killed after 81 s" in found[0].how


def test_growth_is_the_second_half_against_the_first():
    _, growth, stopped = figures(1000, WAYS[1], Observed(memory=[90, 100, 101, 104], most=104, failed=9, stopped=0.2), TINY)
    assert growth.runs == [4]
    assert stopped.met


def test_memory_of_failing_fleets_is_written_to_the_page():
    found = [replace(figure(200 + number, 512), what=f"{targets:,} targets, {way.words}: resident memory")
             for number, (targets, way) in enumerate(product(FULL.failing_fleets, WAYS))]  # fmt: skip
    page = resized(SIZING.read_text(), found, FULL)
    for number, way in enumerate(WAYS):
        assert f"\n| every probe fails by {way.words} | {200 + number} MB | {203 + number} MB |\n" in page
    assert "| not measured | not measured |" in resized(page, [], FULL)


def test_vaults_of_a_named_fleet_are_resolved():
    text = configuration(Fleet(targets=2, credentials=1, interval=60, named=True), 4443, Path("ca.pem"))
    assert "bench-0001.vault.azure.net:443" not in text
    assert "login.microsoftonline.com:443: 127.0.0.1:4443" in text


@pytest.mark.parametrize(("code", "good"), [(0, True), (3, False)])
def test_only_a_clean_stop_has_a_time(code, good):
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])  # noqa: S603 - nothing from outside the tests
    assert math.isfinite(ended(process.pid, within=20)) == good
    assert process.wait() == code


def test_page_is_the_output_around_the_table():
    page = DOCUMENT.read_text()
    assert page.startswith(BEFORE)
    rest = page.removeprefix(BEFORE)
    assert rest == UNMEASURED.replace("bench", "soak") or "60 of them failing" in rest, "only a whole run is published"
