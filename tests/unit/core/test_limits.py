"""The limits of concurrent probes, retries and the first probes."""

import pytest

from exporter.core import limits


@pytest.mark.parametrize(
    ("paces", "slots"),
    [
        ([], 64),
        ([(60.0, 10.0)], 64),
        ([(60.0, 10.0)] * 400, 400),  # the first round starts within 4.8 s, and each probe takes 10 s
        ([(60.0, 10.0)] * 5000, 1042),  # a sixth of the time each, and a margin
        ([(60.0, 0.6)] * 400, 64),
    ],
)
def test_every_target_can_time_out_without_waiting_for_a_slot(paces, slots):
    assert limits.slots_for(paces) == slots


@pytest.mark.parametrize(("slots", "auxiliary"), [(1, 1), (8, 8), (32, 8), (64, 16)])
def test_auxiliary_probes_have_few_slots_and_at_most_as_many_as_others(slots, auxiliary):
    assert limits.auxiliary_slots(slots) == auxiliary


@pytest.mark.parametrize(("files", "slots"), [(-9, 0), (5, 0), (6, 1), (23, 3), (64, 12), (288, 64), (10**9, 100_000)])
def test_probes_at_once_open_no_more_files_than_are_left(files, slots):
    """Each scheduled probe, one on demand and an auxiliary one open a connection to the vault and one to Entra ID."""
    assert limits.slots_within(files) == slots
    assert slots == 0 or limits.files_of(slots) <= files


def first_probes(**changed):
    return limits.FirstProbes(**{"targets": 5000, "missing": 3631, "delayed": 3000, "pace": 10.0} | changed)


def test_notice_of_delayed_probes_has_numbers_and_remaining_time():
    assert first_probes().text() == (
        "3,631 of 5,000 targets have no result yet: this host is too busy to probe them in time. "
        "At this pace all have one in 7 min. The exporter tries them again until each has a result."
    )


def test_notice_without_any_result_has_no_remaining_time():
    assert first_probes(pace=0.0).seconds_left is None
    assert "So far no target has one." in first_probes(pace=0.0).text()


def test_missing_results_without_delay_have_no_notice():
    assert first_probes(delayed=0).text() == ""
