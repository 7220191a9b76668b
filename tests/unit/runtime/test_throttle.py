"""A limit on messages in a period."""

from exporter.runtime.logging import Throttle


def test_throttle_omits_what_exceeds_the_period_and_counts_it():
    throttle = Throttle(2, 10.0)
    assert [throttle.admit(now) for now in (0.0, 1.0, 2.0, 9.9, 10.0, 10.5, 11.0)] == [0, 0, None, None, 2, None, 1]
