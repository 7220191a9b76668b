"""The figures of a run become rows of a Markdown table."""

from pathlib import Path

import pytest
import yaml

from bench.__main__ import DOCUMENT, parsed
from bench.document import BEFORE, METHOD, UNMEASURED, traded
from bench.querying import total, values
from bench.spread import documented
from bench.steady import lag_p99, slowest
from bench.table import HEADER, LIMIT, Figure, percentile, ratios, short, table

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
    return Figure(what="a probe", runs=runs, unit=" ms", how="somehow", **rest)


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_row_has_a_cell_for_each_column():
    lines = table([figure(3.0, 1.0, 2.0, commit=2.5, aim=1.5, busy=0.5)]).splitlines()
    assert {len(cells(line)) for line in lines} == {len(HEADER)}
    assert cells(lines[2]) == ["a probe", "2.00 ms", "1.00 to 3.00", "3", "≤ 2.5: met", "≤ 1.5: **not met**", "50 %", "somehow"]


def test_higher_is_better_has_a_lower_limit():
    assert cells(figure(60.0, commit=50, aim=100, at_least=True).line())[4:6] == ["≥ 50: met", "≥ 100: **not met**"]


def test_saturated_server_is_named_as_the_limit():
    assert cells(figure(1.0, busy=LIMIT).line())[6] == "85 %, **the limit**"


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


def test_start_lag_is_a_bucket_bound_of_most_starts():
    assert lag_p99(TEXT) == 0.5


def test_start_lag_of_a_period_excludes_earlier_starts():
    later = TEXT.replace('le="0.5"} 99.0', 'le="0.5"} 199.0').replace('le="+Inf"} 100.0', 'le="+Inf"} 201.0')
    assert lag_p99(later.replace('le="0.1"} 98.0', 'le="0.1"} 197.0'), TEXT) == 0.5
    assert lag_p99(later, TEXT) == 0.5
    assert lag_p99(TEXT.replace('le="0.1"} 98.0', 'le="0.1"} 198.0').replace("100.0", "200.0"), TEXT) == 0.1


@pytest.mark.parametrize(
    ("arguments", "size", "written"),
    [([], "full", True), (["--quick"], "quick", False), (["storm"], "full", False), (["--size", "tiny", "day"], "tiny", False)],
)
def test_only_a_complete_run_is_written_to_the_page(arguments, size, written):
    args = parsed(arguments)
    assert (args.size, args.out == DOCUMENT) == (size, written)


def test_unknown_part_is_refused_with_the_known_parts(capsys):
    with pytest.raises(SystemExit):
        parsed(["everything"])
    assert "no part 'everything': there are start, probes" in capsys.readouterr().err


def test_documented_hash_is_used_for_three_exporters():
    config = yaml.safe_load(documented(["a:1", "b:2", "c:3"]))
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    rules = jobs["ekm-probe"]["relabel_configs"]
    assert next(rule["modulus"] for rule in rules if "modulus" in rule) == 3
    places = {rule["regex"]: rule["replacement"] for rule in rules if rule.get("target_label") == "__address__"}
    assert places == {"0": "a:1", "1": "b:2", "2": "c:3"}
    assert jobs["ekm"]["static_configs"][0]["targets"] == ["a:1", "b:2", "c:3"]
    assert jobs["ekm-probe"]["http_sd_configs"][0]["url"] == "http://a:1/sd/targets"


def test_page_is_the_output_around_the_figures():
    page = (Path(__file__).parents[3] / "docs" / "performance.md").read_text()
    assert page.startswith(BEFORE)
    rest = page.removeprefix(BEFORE)
    assert rest == UNMEASURED or "size *full*" in rest, "only a whole run is published"
    assert page.endswith(traded() + METHOD)
