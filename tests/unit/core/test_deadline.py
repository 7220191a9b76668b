"""A timeout is charged to the step that used the time."""

import pytest

from exporter.core.values import Fault, Phase, Step, slow_in, slowest


@pytest.mark.parametrize(
    ("spent", "left", "culprit"),
    [
        ({Step.CHALLENGE: 9.5}, 0.5, Step.CHALLENGE),
        ({Step.CHALLENGE: 9.5}, -0.1, Step.CHALLENGE),
        ({Step.CHALLENGE: 1.0, Step.TOKEN: 8.9}, 0.1, Step.TOKEN),
        ({Step.CHALLENGE: 9.0}, 1.0, None),  # a fair share
        ({}, 0.0, None),
        ({Step.CHALLENGE: 0.01}, 0.02, None),
    ],
)
def test_slowest_is_the_step_that_used_the_time(spent, left, culprit):
    assert slowest(spent, left=left, timeout=10.0) is culprit


def test_slow_step_fails_in_its_longest_phase():
    assert slow_in({Phase.DNS: 0.1, Phase.TLS: 3.0, Phase.WAIT: 0.2}) is Fault.TLS_TIMEOUT
    assert slow_in({}) is Fault.READ_TIMEOUT
