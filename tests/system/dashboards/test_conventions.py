"""The dashboards follow the rules of Grafana's dashboard linter and their own, and equal the rendered ones."""

from __future__ import annotations

import itertools
import json
import re

import pytest

from alerts.values import DASHBOARDS, SITE
from dashboards import build, frame, words
from dashboards.promql import RUNBOOK_OF
from exporter.core.values import Step
from exporter.knowledge.codes import BY_CODE, CODES, both_numbers
from exporter.knowledge.reasons import Reason
from tests.system.dashboards.boards import ALL, BOARDS, BUILT_IN, PLACE, constants, panels

EVERY = [pytest.param(uid, panel, id=f"{uid}: {panel['title']}") for uid, board in BOARDS.items() for panel in panels(board)]
PANELS = [pytest.param(each.values[1], id=each.id) for each in EVERY]
TABLES = [each for each in PANELS if each.values[0]["type"] == "table"]
UNITS = {"short", "s", "m", "percentunit", "bytes", "reqps", "string"}
PAGE = 24  # columns
COLUMN_ON_A_LAPTOP = 1366 / PAGE  # pixels
SOURCE = {"type": "prometheus", "uid": "$datasource"}


def variables(board):
    return {each["name"]: each for each in board["templating"]["list"]}


def test_committed_files_equal_the_rendered_ones():
    assert {path: path.read_text() for path, _ in build.rendered()} == dict(build.rendered())
    assert {*PLACE.glob("*.json"), *PLACE.glob("*.yaml")} == {path for path, _ in build.rendered()}


def test_check_names_an_outdated_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(build, "PLACE", tmp_path)
    assert build.main(["--check"]) == 1
    assert "ekm-fleet.json" in capsys.readouterr().out
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0


def test_alerts_link_to_existing_dashboards():
    rules = (PLACE.parent / "alerts" / "ekm.rules.yml").read_text()
    linked = set(re.findall(re.escape(DASHBOARDS) + r"/([\w-]+)", rules))
    assert linked <= set(BOARDS)
    for uid, name in re.findall(re.escape(DASHBOARDS) + r"/([\w-]+)\?var-(\w+)=", rules):
        assert name in variables(BOARDS[uid])
    assert {board["uid"] for board in BOARDS.values()} == set(BOARDS)


@pytest.mark.parametrize("uid", BOARDS)
def test_dashboard_has_one_data_source_and_common_variables(uid):
    found = variables(BOARDS[uid])
    sources = [each for each in found.values() if each["type"] == "datasource"]
    assert [(each["name"], each["label"], each["query"]) for each in sources] == [("datasource", "Data Source", "prometheus")]
    wanted = {"job", "instance"} | (set() if uid == frame.EXPORTER else {"vault", "target"})
    assert wanted <= set(found)
    for name in wanted - ({"target"} if uid == frame.VAULT else set()):
        assert (found[name]["multi"], found[name]["includeAll"], found[name]["allValue"]) == (True, True, ".+")
    for each in found.values():
        if each["type"] == "query":
            assert (each["refresh"], each["datasource"]) == (2, SOURCE)


@pytest.mark.parametrize("uid", BOARDS)
def test_dashboard_is_tagged_read_only_and_linked(uid):
    board = BOARDS[uid]
    assert (board["editable"], board["tags"]) == (False, [frame.TAG])
    others, *pages = board["links"]
    assert (others["type"], others["tags"], others["includeVars"], others["keepTime"]) == ("dashboards", [frame.TAG], True, True)
    assert [link["url"] for link in pages] == ["${runbooks}", "${codes}"]
    assert constants(uid)["runbooks"] == f"{SITE}/runbooks"


@pytest.mark.parametrize("uid", BOARDS)
def test_panels_fit_the_grid_and_have_unique_numbers(uid):
    numbers = [panel["id"] for panel in BOARDS[uid]["panels"]]
    assert numbers == sorted(set(numbers))
    for panel in panels(BOARDS[uid]):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= PAGE


@pytest.mark.parametrize("panel", PANELS)
def test_panel_has_description_and_unit(panel):
    assert panel["title"]
    assert re.fullmatch(r"[A-Z].{10,}\.", panel["description"])
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == SOURCE
    assert panel["targets"]
    assert all(target["datasource"] == SOURCE for target in panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize(("uid", "panel"), EVERY)
def test_panel_uses_only_variables_of_its_dashboard(uid, panel):
    text = json.dumps(panel)
    own = set(variables(BOARDS[uid])) | set(BUILT_IN) | {"__url_time_range", "__data"}
    assert set(re.findall(r"\$\{?(\w+)", text)) - {"1"} <= own, sorted(ALL)


@pytest.mark.parametrize("panel", TABLES)
def test_formatted_columns_exist_and_leave_room(panel):
    renamed = next(each["options"]["renameByName"] for each in panel.get("transformations", []) if each["id"] == "organize")
    formatted = {each["matcher"]["options"]: each["properties"] for each in panel["fieldConfig"]["overrides"]}
    assert [prop["id"] for prop in formatted.pop("/.*/")] == ["noValue"]
    assert set(formatted) <= set(renamed.values())
    widths = [prop["value"] for properties in formatted.values() for prop in properties if prop["id"] == "custom.width"]
    assert sum(widths) <= panel["gridPos"]["w"] * COLUMN_ON_A_LAPTOP


@pytest.mark.parametrize("panel", PANELS)
def test_link_names_an_existing_column(panel):
    shown = {
        name
        for each in panel.get("transformations", [])
        if each["id"] == "organize"
        for name in each["options"]["renameByName"].values()
    }
    assert set(re.findall(r'__data\.fields\[\\+"([^"\\]+)', json.dumps(panel))) <= shown


def test_each_observable_code_has_both_numbers_and_a_meaning():
    options = words.CODES.options
    observable = {str(row.code) for row in CODES if row.observable}
    assert set(options) == observable | {"0"}
    for code in observable:
        assert str(options[code].text).startswith(both_numbers(int(code)) + ": ")
        assert 30 <= len(str(options[code].text)) <= 170


def test_every_failure_has_an_existing_runbook():
    known = {"reason": set(Reason), "step": set(Step), "code": {str(code) for code in BY_CODE}}
    for name, label, values in (*RUNBOOK_OF, ("EkmVaultSideNotReady", "step", "challenge")):
        assert (PLACE.parent / "alerts" / "runbooks" / f"{name}.md").exists()
        assert set(values.split("|")) <= known[label]
        for code in values.split("|") if label == "code" else ():
            counterpart = BY_CODE[int(code)].counterpart
            assert counterpart is None or str(counterpart) in values


def test_curve_with_a_fixed_name_has_a_palette_colour():
    for panel in (each.values[0] for each in PANELS if each.values[0]["type"] == "timeseries"):
        formatted = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
        for name in (target["legendFormat"] for target in panel["targets"]):
            assert "{{" in name or name in formatted, (panel["title"], name)


# How colours look to people without red, green or blue cones (Viénot, Brettel and Mollon 1999; Machado 2009 for the last), in linear RGB.
BLINDNESS = {
    "red": ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0)),
    "green": ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0)),
    "blue": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
DISTINCT = 0.12  # distance in linear RGB


def linear(color: str) -> tuple[float, ...]:
    values = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return tuple(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values)


def seen(color: str, kind: str) -> tuple[float, ...]:
    return tuple(sum(share * part for share, part in zip(row, linear(color), strict=True)) for row in BLINDNESS[kind])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_states_are_distinct_with_colour_blindness(kind):
    for one, other in itertools.combinations((words.BAD, words.WARNING, words.GOOD, words.NEUTRAL), 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one, kind), seen(other, kind), strict=True)) ** 0.5
        assert distance >= DISTINCT, (one, other)
