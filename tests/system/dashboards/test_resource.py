"""The V2 resource of each dashboard has everything that the classic file has. No Grafana server reads it here."""

from __future__ import annotations

import itertools

import pytest
import yaml

from tests.system.dashboards.boards import BOARDS, PLACE

RESOURCES = {uid: yaml.safe_load((PLACE / f"{uid}.v2.yaml").read_text()) for uid in BOARDS}
WITHOUT = {"datasource", "refId"}  # other places in a resource


def panels(uid):
    return [panel for panel in BOARDS[uid]["panels"] if panel["type"] != "row"]


def element(uid, panel):
    return RESOURCES[uid]["spec"]["elements"][f"panel-{panel['id']}"]["spec"]


@pytest.mark.parametrize("uid", BOARDS)
def test_resource_is_named_after_its_dashboard(uid):
    found, board = RESOURCES[uid], BOARDS[uid]
    assert (found["apiVersion"], found["kind"], found["metadata"]) == ("dashboard.grafana.app/v2", "Dashboard", {"name": uid})
    spec = found["spec"]
    assert [spec[name] for name in ("title", "description", "tags", "editable")] == [
        board[name] for name in ("title", "description", "tags", "editable")
    ]
    time = {"from": spec["timeSettings"]["from"], "to": spec["timeSettings"]["to"]}
    assert (time, spec["timeSettings"]["autoRefresh"]) == (board["time"], board["refresh"])
    assert [link["url"] for link in spec["links"] if link["type"] == "link"] == ["${runbooks}", "${codes}"]


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_keeps_its_queries_and_appearance(uid):
    assert len(RESOURCES[uid]["spec"]["elements"]) == len(panels(uid))
    for panel in panels(uid):
        found = element(uid, panel)
        assert (found["title"], found["description"]) == (panel["title"], panel["description"])
        queries = [query["spec"] for query in found["data"]["spec"]["queries"]]
        assert [query["refId"] for query in queries] == [target["refId"] for target in panel["targets"]]
        assert {query["query"]["datasource"]["name"] for query in queries} == {"$datasource"}
        assert [query["query"]["spec"] for query in queries] == [
            {name: value for name, value in target.items() if name not in WITHOUT} for target in panel["targets"]
        ]
        steps = [{"id": step["group"], **step["spec"]} for step in found["data"]["spec"]["transformations"]]
        assert steps == panel.get("transformations", [])
        shown = found["vizConfig"]
        assert (shown["group"], shown["spec"]) == (panel["type"], {name: panel[name] for name in ("options", "fieldConfig")})
        assert found["data"]["spec"]["queryOptions"].get("maxDataPoints") == panel.get("maxDataPoints")


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_stands_once_in_its_row(uid):
    headings = [None, *(panel["title"] for panel in BOARDS[uid]["panels"] if panel["type"] == "row")]
    rows = [row["spec"] for row in RESOURCES[uid]["spec"]["layout"]["spec"]["rows"]]
    assert [None if row.get("hideHeader") else row["title"] for row in rows] == headings
    placed = []
    for row in rows:
        cells = set()
        for item in (each["spec"] for each in row["layout"]["spec"]["items"]):
            placed.append(item["element"]["name"])
            own = set(
                itertools.product(range(item["x"], item["x"] + item["width"]), range(item["y"], item["y"] + item["height"]))
            )
            assert not own & cells
            cells |= own
        assert min(y for _, y in cells) == 0
    assert sorted(placed) == sorted(f"panel-{panel['id']}" for panel in panels(uid))


@pytest.mark.parametrize("uid", BOARDS)
def test_variables_and_marks_are_the_same(uid):
    spec, board = RESOURCES[uid]["spec"], BOARDS[uid]
    kinds = {
        "datasource": "DatasourceVariable",
        "query": "QueryVariable",
        "custom": "CustomVariable",
        "constant": "ConstantVariable",
    }
    found = [(each["kind"], each["spec"]) for each in spec["variables"]]
    given = board["templating"]["list"]
    assert [(kind, each["name"], each.get("label")) for kind, each in found] == [
        (kinds[each["type"]], each["name"], each.get("label")) for each in given
    ]
    for (kind, own), each in zip(found, given, strict=True):
        assert (own["hide"] == "hideVariable") is (each.get("hide") == 2)
        if kind == "QueryVariable":
            assert (own["query"]["spec"], own["allValue"] if own["multi"] else None) == (each["query"], each.get("allValue"))
        elif kind != "DatasourceVariable":
            assert own["query"] == each["query"]
    marks = [(each["spec"]["name"], each["spec"]["query"]["spec"]["expr"]) for each in spec["annotations"]]
    assert marks == [(each["name"], each["expr"]) for each in board["annotations"].get("list", [])]
