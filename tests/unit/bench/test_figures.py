"""The figures of a run: bounds, ratios, and what is read from the texts of a scrape."""

import contextlib
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench import failing
from bench.__main__ import parsed, verdict
from bench.failing import LIMIT as MEMORY
from bench.failing import WAYS, Observed, figures
from bench.figures import COLUMNS, LIMIT, Figure, percentile, ratios, short
from bench.parts import Outcome
from bench.processes import ended
from bench.programs import Fleet, configuration
from bench.querying import total, values
from bench.rules import RULES, adapted
from bench.sizes import TINY
from bench.steady import lag_p99, slowest
from bench.storm import probed
from bench.trees import LOCK, TreeError, unpacked
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
RULE = "groups: [{name: g, interval: 1m, rules: [{record: r, expr: '1'}, {alert: A, expr: r, annotations: {summary: text}}]}]"


def figure(*runs, **rest):
    return Figure(what="a probe", runs=runs, unit="ms", how="somehow", **rest)


def test_row_of_a_figure_has_a_cell_for_each_column():
    row = dict(zip(COLUMNS, figure(3.0, 1.0, 2.0, commit=2.5, aim=1.5, busy=0.5).row("probes"), strict=True))
    assert (row["median"], row["lowest"], row["highest"], row["runs"]) == ("2.00", "1.00", "3.00", "3")
    assert (row["commit"], row["aim"], row["server busy"]) == ("≤ 2.5: met", "≤ 1.5: not met", "50 %")


def test_row_has_the_median_of_the_other_commit():
    assert (figure(3.0).row("")[-1], figure(3.0).row("", figure(1.0, 2.0))[-1]) == ("", "1.50")


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


def test_a_percentile_is_one_of_the_values():
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert percentile([7.0], 0.99) == 7.0


def test_value_is_selected_by_the_whole_metric_name():
    assert values(TEXT, "ekm_probe_duration_seconds") == {'target="old"': 9.0, 'target="new"': 0.25}
    assert total(TEXT, "ekm_exporter_probes_tainted_total") == 3.0
    assert values(TEXT, "ekm_exporter_probes_tainted") == {}


def test_probe_before_the_time_slice_does_not_count():
    assert slowest(TEXT, since=100.0) == 0.25
    assert slowest(TEXT, since=0.0) == 9.0


def test_recovery_ends_with_the_last_probe_of_the_last_targets():
    assert probed(TEXT, {'target="new"'}) == 150.25
    assert probed(TEXT, {'target="new"', 'target="old"'}) == 150.25


def test_start_lag_is_a_bucket_bound_of_most_starts():
    assert lag_p99(TEXT) == 0.5


def test_start_lag_of_a_period_excludes_earlier_starts():
    later = TEXT.replace('le="0.5"} 99.0', 'le="0.5"} 199.0').replace('le="+Inf"} 100.0', 'le="+Inf"} 201.0')
    assert lag_p99(later.replace('le="0.1"} 98.0', 'le="0.1"} 197.0'), TEXT) == 0.5
    assert lag_p99(TEXT.replace('le="0.1"} 98.0', 'le="0.1"} 198.0').replace("100.0", "200.0"), TEXT) == 0.1


@pytest.mark.parametrize("texts", [True, False])
def test_rules_are_measured_with_one_interval_and_without_texts(texts):
    (group,) = yaml.safe_load(adapted(RULE, 6, texts=texts))["groups"]
    assert (group["interval"], "annotations" in group["rules"][1]) == ("6000ms", texts)


def test_killed_process_breaks_both_limits():
    found = list(figures(1000, WAYS[0], Observed(memory=[MEMORY + 1.0], most=MEMORY + 1.0), TINY))
    assert [one.met for one in found] == [False, True, False]


@pytest.mark.parametrize(("others", "reason"), [(9, ""), (10, "10 targets, silence after TLS")])
def test_fleet_that_mostly_left_out_its_probes_fails_the_part(others, reason, monkeypatch):
    seen = Observed(memory=[90.0], most=90.0, failed=9, stopped=0.2)
    monkeypatch.setattr(failing, "WAYS", WAYS[1:2])
    monkeypatch.setattr(failing, "fail", lambda *_, **__: None)
    monkeypatch.setattr(failing, "exporter", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(failing, "observe", lambda *_: replace(seen, others=others))
    found = []
    with pytest.raises(RuntimeError, match=reason) if reason else contextlib.nullcontext():
        found.extend(failing.measure(None, TINY))
    assert len(found) == 3


def test_growth_is_the_second_half_against_the_first():
    _, growth, stopped = figures(1000, WAYS[1], Observed(memory=[90, 100, 101, 104], most=104, failed=9, stopped=0.2), TINY)
    assert growth.runs == [4]
    assert stopped.met


@pytest.mark.parametrize(("targets", "credentials"), [(1, 1), (59, 2), (5000, 250)])
def test_twenty_targets_of_a_fleet_share_a_credential(targets, credentials):
    assert Fleet(targets=targets, interval=60).credential_count == credentials


def test_vaults_of_a_named_fleet_are_resolved():
    text = configuration(Fleet(targets=2, credentials=1, interval=60, named=True), 4443, Path("ca.pem"))
    assert "bench-0001.vault.azure.net:443" not in text
    assert "login.microsoftonline.com:443: 127.0.0.1:4443" in text


@pytest.mark.parametrize(("code", "good"), [(0, True), (3, False)])
def test_only_a_clean_stop_has_a_time(code, good):
    process = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"])  # noqa: S603 - nothing from outside the tests
    assert math.isfinite(ended(process.pid, within=20)) == good
    assert process.wait() == code


@pytest.mark.parametrize(
    ("arguments", "size", "written"),
    [
        ([], "full", True),
        (["--quick"], "quick", False),
        (["storm"], "full", False),
        (["--compare", "HEAD"], "full", False),
        (["--compare", "HEAD", "--out", str(performance.FIGURES)], "full", True),
        (["--size", "tiny", "day"], "tiny", False),
    ],
)
def test_only_a_complete_run_is_written_to_the_file(arguments, size, written):
    args = parsed(arguments)
    assert (args.size, args.out == performance.FIGURES, args.rules) == (size, written, [RULES])


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
    (root / LOCK).write_text("one==1\n", encoding="utf-8")
    name = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "first")):
        subprocess.run(("git", "-C", root, *name, *words), check=True, capture_output=True)  # noqa: S603, S607 - fixed commands
    (root / LOCK).write_text("one==2\n", encoding="utf-8")
    assert (unpacked("HEAD", tmp_path / "other", root) / LOCK).read_text(encoding="utf-8") == "one==1\n"
    assert "requirements.lock of HEAD differs" in capsys.readouterr().err
    with pytest.raises(TreeError, match="--compare nothing: no such commit here"):
        unpacked("nothing", tmp_path / "other", root)
