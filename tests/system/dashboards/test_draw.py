"""Every panel of every dashboard is drawn in a real browser, from real responses, without an error."""

import re

import pytest

from tests.system.dashboards.boards import BOARDS, panels
from tests.system.dashboards.draw import pictures
from tests.system.dashboards.draw.pictures import SHOWN

pytestmark = [pytest.mark.browser, pytest.mark.real]

# The message that a page without a Grafana server always logs.
EXPECTED = {"window.grafanaBootData was not set by the time config was initialized"}
ERRORS = ("An unexpected error happened", "Panel plugin not found", "undefined")
LARGEST = 300_000  # bytes


@pytest.fixture(scope="session")
def _prepared():
    pictures.prepare()


@pytest.mark.usefixtures("_prepared")
@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_of_a_dashboard_is_drawn(history, uid, tmp_path):
    chosen = {"target": "payroll-runs"} if uid == "ekm-vault" else {}
    drawn = pictures.draw(uid, history.url, tmp_path / "picture.png", **chosen)
    assert (drawn.title, set(drawn.messages) - EXPECTED) == ("drawn", set())
    assert [word for word in ERRORS if word in drawn.text] == []
    assert [panel["title"] for panel in panels(BOARDS[uid]) if panel["title"] not in drawn.text] == []
    assert re.findall(r"-[\d.]+\s*(?:min|hour|day|week|year|d\b)", drawn.text) == [], "a past date is no negative duration"


@pytest.mark.usefixtures("_prepared")
def test_fleet_names_the_sql_servers_in_danger_and_causes(history, tmp_path):
    text = pictures.draw("ekm-fleet", history.url, tmp_path / "picture.png").text
    for word in (
        "SQLPAY01",
        "AG7",
        "3303",
        "secret_expired",
        "37 mins",
        "EkmCredentialExpired",
        "3077 / 3113",
        "NOT READY",
        "Wrap only: ",
        "Central exporter only: ",
        "unknown",
    ):
        assert word in text
    assert "55.1 min" not in text, "a code was formatted as a number of seconds"


def test_pictures_of_the_documentation_exist_and_are_small(pytestconfig):
    for name, _, _ in SHOWN:
        assert 20_000 < (pytestconfig.rootpath / "docs" / "images" / name).stat().st_size < LARGEST
