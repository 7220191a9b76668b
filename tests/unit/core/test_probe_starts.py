"""The limit of concurrent probes."""

import pytest

from exporter.core.probe_starts import slots_for


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
    assert slots_for(paces) == slots
