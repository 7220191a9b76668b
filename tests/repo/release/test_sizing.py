"""The arithmetic of docs/sizing.md follows from measured costs."""

import math
import re
from pathlib import Path

import pytest

from bench.failing import LIMIT, WAYS
from bench.sizes import FULL
from docs.generators import performance
from docs.generators.performance import figures
from docs.generators.sizing import MOST_CORES, TARGETS, costs, mostly_failed

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "sizing.md").read_text()
MB, KB = 1 / 1024, 1 / 1024**2  # in GB
FLEET, EVERY = 5000, 60.0
CHART = (DOCS.parent / "deploy" / "helm" / "ekm-exporter" / "values.yaml").read_text()
FAILING = re.findall(r"^\| every probe fails by ([\w ]+) \| (\d+) MB \| (\d+) MB \|$", PAGE, re.MULTILINE)


def cost(what):
    """Return the first number of the row of the first table."""
    return float(re.search(rf"^\| {what}[^|]*\| ([\d.]+)", PAGE, re.MULTILINE)[1])


def number(cell):
    return float(cell.removesuffix(" GB").replace(",", ""))


def rows():
    lines = re.findall(r"^\| ([\d,]+) \| (.+) \|$", PAGE, re.MULTILINE)
    return [(number(targets), *map(number, rest.split(" | "))) for targets, rest in lines]


def test_sizing_table_ends_at_a_hundred_thousand():
    assert [row[0] for row in rows()] == list(TARGETS)


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]:.0f}")
def test_sizing_row_follows_from_the_costs(row):
    targets, probes, exporters, cores, memory, series, samples, prometheus = row
    of_one = float(re.search(r"^\| a target \| (\d+) series", PAGE, re.MULTILINE)[1])
    assert probes == pytest.approx(targets / EVERY, rel=0.03)
    assert cores == pytest.approx(probes * cost("a probe, with") / 1000, rel=0.1, abs=0.005)
    assert exporters == math.ceil(targets / EVERY * cost("a probe, with") / 1000 / MOST_CORES)
    most = exporters * cost("an exporter without targets") * MB + targets * cost("a target") * KB
    remembered = exporters * cost("the history of all targets") * MB * min(1, targets / FLEET / exporters)
    assert memory == pytest.approx(most + remembered, rel=0.1, abs=0.05)
    assert series == targets * of_one
    assert samples == pytest.approx(series / EVERY, rel=0.01)
    assert prometheus == pytest.approx(series * cost("a series") * KB, rel=0.05, abs=0.01)


def machines():
    """Return each cell of the first table: cores, MB, seconds, vaults and what limits them."""
    for cores, size, unit, *cells in re.findall(
        r"^\| (\d) cores?, (\d+) (GB|MB)[^|]* \| \d \| (.+) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE
    ):
        for every, cell in zip((30, 60, 300), cells, strict=True):
            vaults, what = re.fullmatch(r"([\d,]+) \((processor|memory)\)", cell).groups()
            yield int(cores), int(size) * (1024 if unit == "GB" else 1), every, number(vaults), what


def used(cores, memory, every, vaults):
    """Return the shares of the room: half of each core, three quarters of the memory while each probe waits for 10 s."""
    probe = cost("a probe, with") / 1000 * (1 + every / 300) / (1 + EVERY / 300)
    needed = cores * cost("an exporter without targets") + vaults * cost("a target") / 1024
    needed += cost("the history of all targets") * min(cores, vaults / FLEET)
    needed += vaults * 10 / every * cost("a probe that waits")
    return {"processor": vaults / every * probe / cores / 0.5, "memory": needed / memory / 0.75}


def test_sizing_page_has_five_machines_with_three_intervals():
    assert len(list(machines())) == 15
    assert min(vaults for *_, vaults, _ in machines()) >= 1000  # the number before the table


@pytest.mark.parametrize("cell", list(machines()), ids=str)
def test_vaults_of_a_machine_fit_and_few_more_do_not(cell):
    *machine, vaults, what = cell
    shares = used(*machine, vaults)
    assert max(shares.values()) <= 1
    assert max(shares, key=shares.get) == what or shares[what] == pytest.approx(max(shares.values()), rel=0.1)
    assert used(*machine, vaults * 1.1)[what] > 1


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("5,000 targets every 60 s: processor time a probe", "a probe, with"),
        ("memory a target, 5,000 targets", "a target"),
        ("5,000 targets in one Prometheus: memory a series", "a series"),
        ("5,000 targets in one Prometheus: processor time a sample", "a sample"),
    ],
)
def test_sizing_costs_match_the_measurements(name, what):
    assert float(figures()[name]["median"]) == pytest.approx(cost(what), rel=0.2)


def test_missing_figure_is_named(monkeypatch, tmp_path):
    (tmp_path / "performance.csv").write_text("part,what\n", encoding="utf-8")
    monkeypatch.setattr(performance, "FIGURES", tmp_path / "performance.csv")
    with pytest.raises(LookupError, match="processor time a probe"):
        costs()


def test_sizing_page_has_memory_of_fleets_that_mostly_failed():
    most = {
        way: [mostly_failed(figures()[f"{size:,} targets, {way}: resident memory"]["how"]) for size in FULL.failing_fleets]
        for way in WAYS
    }
    assert [way for way, *_ in FAILING] == [way for way, both in most.items() if all(both)]


@pytest.mark.parametrize(("how", "shown"), [("5", True), ("5,000", False)])
def test_fleet_that_mostly_left_out_its_probes_is_not_shown(how, shown):
    assert mostly_failed(f"at its peak; 1,000 probes failed, {how} were tainted or left out") == shown
    assert not mostly_failed("")


def test_failing_fleet_fits_the_chart_limit():
    limit, targets = re.search(r"limits: \{memory: (\d+)Mi\} +# for up to ([\d,]+) targets", CHART).groups()
    assert int(limit) == LIMIT
    assert int(targets.replace(",", "")) == max(FULL.failing_fleets)
    assert max(int(most) for _, *both in FAILING for most in both) < LIMIT


@pytest.mark.parametrize(("way", "few", "many"), FAILING)
def test_failing_fleet_memory_matches_the_measurement(way, few, many):
    for targets, stated in zip(FULL.failing_fleets, (few, many), strict=True):
        measured = figures()[f"{targets:,} targets, {way}: resident memory"]
        assert float(measured["median"]) == pytest.approx(int(stated), abs=1)
