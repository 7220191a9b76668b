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
def drawings(history) -> dict[str, pictures.Drawn]:
    """Every dashboard, drawn one after another in one browser."""
    pictures.prepare()
    chosen = {"ekm-vault": {"target": "payroll-runs"}}
    orders = [pictures.Order(uid, chosen.get(uid, {})) for uid in BOARDS]
    return dict(zip(BOARDS, pictures.draw(history.url, orders), strict=True))


@pytest.mark.parametrize("uid", BOARDS)
def test_every_panel_of_a_dashboard_is_drawn(drawings, uid):
    drawn = drawings[uid]
    assert (drawn.title, set(drawn.messages) - EXPECTED) == ("drawn", set())
    assert [word for word in ERRORS if word in drawn.text] == []
    assert [panel["title"] for panel in panels(BOARDS[uid]) if panel["title"] not in drawn.text] == []
    assert re.findall(r"-[\d.]+\s*(?:min|hour|day|week|year|d\b)", drawn.text) == [], "a past date is no negative duration"


def test_fleet_names_the_sql_servers_in_danger_and_causes(drawings):
    text = drawings["ekm-fleet"].text
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
