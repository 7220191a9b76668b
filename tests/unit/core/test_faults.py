"""Which failures this host may have caused by itself, and from which lateness on."""

import pytest

from exporter.core.values import Fault, is_discarded, is_disturbed

WITHOUT_ANSWER = {
    *("dns_timeout", "connect_timeout", "tls_timeout", "proxy_timeout", "read_timeout", "body_timeout", "secret_timeout"),
    *("connect_reset", "tls_reset", "connection_reset", "connection_closed", "dns_temporary"),
}


def test_only_a_timeout_a_reset_a_close_and_try_again_can_be_discarded():
    assert {fault for fault in Fault if is_discarded(fault, late=60.0, took=60.0)} == WITHOUT_ANSWER


@pytest.mark.parametrize(
    ("late", "took", "discarded"),
    [
        (0.0, 10.0, False),
        (0.499, 0.5, False),
        (0.5, 0.5, True),
        (0.5, 0.999, True),
        (0.5, 1.0, False),  # half is not more than half
        (5.0, 10.0, False),
        (5.001, 10.0, True),
        (9.999, 10.0, True),
    ],
)
def test_a_failure_counts_unless_the_host_was_late_for_half_a_second_and_most_of_the_step(*, late, took, discarded):
    assert is_discarded(Fault.READ_TIMEOUT, late=late, took=took) is discarded


@pytest.mark.parametrize(
    ("late", "took", "disturbed"),
    [(0.0, 0.0, False), (0.099, 0.1, False), (0.1, 0.1, True), (0.1, 1.0, True), (0.1, 1.01, False), (1.0, 10.0, True)],
)
def test_a_duration_is_disturbed_by_a_tenth(*, late, took, disturbed):
    assert is_disturbed(late=late, took=took) is disturbed
