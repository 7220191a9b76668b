"""The figures of a run: bounds, ratios, and what is read from the texts of a scrape."""

import math
import subprocess

import pytest

from bench.__main__ import parsed, unpacked, verdict
from bench.figures import COLUMNS, LIMIT, Figure, ratios, short
from bench.parts import Outcome
from bench.programs import Fleet
from bench.querying import lag_p99, total, values
from bench.steady import slowest
from docs.generators import performance

TEXT = """\
ekm_last_probe_timestamp_seconds{target="old"} 50.0
ekm_last_probe_timestamp_seconds{target="new"} 1.5e+02
ekm_last_probe_timestamp_seconds{target="first"} 1.6e+02
ekm_probe_duration_seconds{target="old"} 9.0
ekm_probe_duration_seconds{target="new"} 0.25
ekm_exporter_schedule_lag_seconds_bucket{le="0.1"} 98.0
ekm_exporter_schedule_lag_seconds_bucket{le="0.5"} 99.0
ekm_exporter_schedule_lag_seconds_bucket{le="+Inf"} 100.0
ekm_exporter_probes_tainted_total 3.0
"""


def figure(*runs, **rest):
    return Figure(what="a probe", runs=runs, unit="ms", how="somehow", **rest)


def test_row_of_a_figure_has_a_cell_for_each_column():
    row = dict(zip(COLUMNS, figure(3.0, 1.0, 2.0, commit=2.5, aim=1.5, busy=0.5).row("probes"), strict=True))
    assert (row["median"], row["lowest"], row["highest"], row["runs"]) == ("2.00", "1.00", "3.00", "3")
    assert (row["commit"], row["aim"], row["server busy"]) == ("≤ 2.5: met", "≤ 1.5: not met", "50 %")


def test_lower_limit_and_saturated_server_are_named():
    row = figure(60.0, commit=50, aim=100, at_least=True, busy=LIMIT).row("")
    assert row[7:10] == ("≥ 50: met", "≥ 100: not met", "85 %, the limit")


@pytest.mark.parametrize(
    ("value", "commit", "met"), [(1, 2, True), (2, 2, True), (3, 2, False), (3, None, True), (math.inf, 5, False)]
)
def test_figure_is_compared_with_its_limit(value, commit, met):
    assert figure(value, commit=commit).met == met


def test_ratio_needs_the_same_number_of_runs():
    assert ratios([1.0, 6.0], [2.0, 3.0]) == [0.5, 2.0]
    with pytest.raises(ValueError, match="argument 2"):
        ratios([1.0], [2.0, 3.0])


@pytest.mark.parametrize(("value", "shown"), [(0, "0"), (0.0123456, "0.0123"), (1.0, "1.00"), (12345.6, "12,346")])
def test_number_has_three_digits_or_its_integer_part(value, shown):
    assert short(value) == shown


def test_value_is_selected_by_the_whole_metric_name():
    assert values(TEXT, "ekm_probe_duration_seconds") == {'target="old"': 9.0, 'target="new"': 0.25}
    assert total(TEXT, "ekm_exporter_probes_tainted_total") == 3.0
    assert values(TEXT, "ekm_exporter_probes_tainted") == {}


def test_probe_before_the_time_slice_does_not_count():
    assert slowest(TEXT, since=100.0) == 0.25
    assert slowest(TEXT, since=0.0) == 9.0
    assert math.isnan(slowest(TEXT, since=200.0))


def test_start_lag_is_a_bucket_bound_of_most_starts():
    assert lag_p99(TEXT) == 0.5


def test_start_lag_of_a_period_excludes_earlier_starts():
    later = TEXT.replace('le="0.5"} 99.0', 'le="0.5"} 199.0').replace('le="+Inf"} 100.0', 'le="+Inf"} 201.0')
    assert lag_p99(later.replace('le="0.1"} 98.0', 'le="0.1"} 197.0'), TEXT) == 0.5
    assert lag_p99(TEXT.replace('le="0.1"} 98.0', 'le="0.1"} 198.0').replace("100.0", "200.0"), TEXT) == 0.1


@pytest.mark.parametrize(("targets", "credentials"), [(1, 1), (59, 2), (5000, 250)])
def test_twenty_targets_of_a_fleet_share_a_credential(targets, credentials):
    assert Fleet(targets=targets, interval=60).credential_count == credentials


@pytest.mark.parametrize(
    ("arguments", "size", "written"),
    [
        ([], "full", True),
        (["--quick"], "quick", False),
        (["fleet"], "full", False),
        (["--compare", "HEAD"], "full", False),
        (["--compare", "HEAD", "--out", str(performance.FIGURES)], "full", True),
        (["--size", "tiny", "steps"], "tiny", False),
    ],
)
def test_only_a_complete_run_is_written_to_the_file(arguments, size, written):
    args = parsed(arguments)
    assert (args.size, args.out == performance.FIGURES) == (size, written)


def test_unknown_part_is_refused_with_the_known_parts(capsys):
    with pytest.raises(SystemExit):
        parsed(["everything"])
    assert "no part 'everything': there are start, probes" in capsys.readouterr().err


def test_verdict_names_failed_parts_and_broken_bounds(capsys):
    good = Outcome([figure(1.0)])
    assert verdict({"good": good, "bad": Outcome([figure(3.0, commit=2)], "no server")}) == 1
    shown = capsys.readouterr().err
    assert "bench: FAILED: bad (no server)" in shown
    assert "bench: bound not kept: a probe: 3.00 ms" in shown
    assert verdict({"good": good}) == 0


def test_commit_is_unpacked_without_uncommitted_files(tmp_path, capsys):
    root = tmp_path / "repository"
    root.mkdir()
    (root / "lock").write_text("one==1\n", encoding="utf-8")
    name = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run(("git", "-C", root, *name, *words), check=True, capture_output=True)  # noqa: S603, S607 - fixed commands
    (root / "lock").write_text("one==2\n", encoding="utf-8")
    assert (unpacked("HEAD", tmp_path / "other", root) / "lock").read_text(encoding="utf-8") == "one==1\n"
    with pytest.raises(SystemExit, match="2"):
        unpacked("nothing", tmp_path / "other", root)
    assert "--compare nothing: no such commit here" in capsys.readouterr().err
