"""The dashboards follow the rules of Grafana's dashboard linter and their own, and equal the rendered ones."""

from __future__ import annotations

import json
import re

import pytest

from alerts.values import DASHBOARDS, SITE
from dashboards import build, frame
from dashboards.promql import RUNBOOK_OF
from exporter.core.values import Step
from exporter.knowledge.codes import BY_CODE
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


def test_every_failure_has_an_existing_runbook():
    known = {"reason": set(Reason), "step": set(Step), "code": {str(code) for code in BY_CODE}}
    for name, label, values in (*RUNBOOK_OF, ("EkmVaultSideNotReady", "step", "challenge")):
        assert (PLACE.parent / "alerts" / "runbooks" / f"{name}.md").exists()
        assert set(values.split("|")) <= known[label]
        for code in values.split("|") if label == "code" else ():
            counterpart = BY_CODE[int(code)].counterpart
            assert counterpart is None or str(counterpart) in values
