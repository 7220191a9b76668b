"""Each fault in each pattern, interval and mode pages once, by its name, and is silent for an hour after recovery."""

import pytest

from docs.generators.alerts import TIMING
from tests.system.alerts.matrix.notified import sent
from tests.system.alerts.matrix.summary import PAGERS, evaluated, of, part
from tests.system.alerts.matrix.table import MINUTE, SCRAPE, Scenario, scenarios

pytestmark = pytest.mark.real
ALL = scenarios()


@pytest.fixture(scope="session")
def by_instance(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("matrix"))


def described(one: Scenario) -> str:
    return one.name


@pytest.mark.parametrize("scenario", ALL, ids=described)
def test_fault_pages_once_and_is_silent_after_recovery(scenario, by_instance):
    messages = sent(of(scenario, by_instance))
    pages = [message for message in messages if message.receiver in PAGERS]

    assert {message.alertname for message in pages} == ({scenario.expected} if scenario.expected else set())
    assert len({message.at for message in pages}) <= scenario.exporters
    after = [message for message in messages if message.at > scenario.recovery + 2 * SCRAPE[scenario.interval] + 45]
    assert after == [], after


@pytest.mark.parametrize("scenario", [one for one in ALL if one.pattern == "sustained"], ids=described)
def test_sustained_fault_pages_within_four_intervals(scenario, by_instance):
    [first, *_] = [message for message in sent(of(scenario, by_instance)) if message.receiver in PAGERS]
    assert first.at <= scenario.begin + 4 * scenario.interval + 2 * MINUTE


def test_matrix_of_the_page_is_up_to_date(by_instance):
    matrix, page = part(by_instance), TIMING.read_text()
    assert matrix.refreshed(page) == page, f"run {matrix.command}"
