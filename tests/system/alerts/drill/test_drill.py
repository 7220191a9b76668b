"""From a fault to a page and to its end: all incidents run at once, and each must cause one page and then an hour of silence."""

import pytest

from tests.system.alerts.drill import measured
from tests.system.alerts.drill.incidents import HEALTHY, INCIDENTS, NOISY
from tests.system.alerts.drill.play import HOUR, MINUTE

pytestmark = pytest.mark.real

every_incident = pytest.mark.parametrize("incident", INCIDENTS, ids=lambda one: one.name)
BRIEFLY = 2 * MINUTE  # from the end of a fault to the end of the next good probe, scrape and evaluation


def shown(played, messages):
    first = min(played.began.values())
    return [(round((one.at - first) / MINUTE, 1), one.kind, one.alert, one.env, one.to) for one in messages]


@every_incident
def test_incident_is_one_page_with_its_cause(incident, played):
    pages = [one for one in played.of(incident) if one.kind == "page"]

    assert [(one.alert, one.to) for one in pages] == [(incident.alert, incident.to)], shown(played, pages)
    assert [word for word in incident.in_the_page if word not in pages[0].text] == [], pages[0].text
    measured.add(incident, played)


@every_incident
def test_page_ends_after_the_fault(incident, played):
    ends = [one.at - played.healed[incident.name] for one in played.of(incident) if one.kind == "resolved"]
    assert 14 * MINUTE < max(ends) < 30 * MINUTE, ends


@every_incident
def test_nothing_new_is_sent_for_an_hour_after_the_fault(incident, played):
    healed = played.healed[incident.name]
    late = [one for one in played.of(incident) if one.kind != "resolved" and healed + BRIEFLY < one.at < healed + HOUR]
    assert late == [], shown(played, late)


def test_healthy_and_noisy_targets_cause_no_page(played):
    assert played.random_failures >= 3
    pages = [one for quiet in (HEALTHY, NOISY) for one in played.of(quiet) if one.kind == "page"]
    assert pages == [], shown(played, pages)


def test_every_page_belongs_to_an_incident(played):
    known = [one for incident in INCIDENTS for one in played.of(incident)]
    strange = [one for one in played.messages if one.kind == "page" and one not in known]
    assert strange == [], shown(played, strange)
