"""How a ready target is called if several of its last probes failed."""

import pytest

from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.verdict import FAILURES_OF_UNSTEADY, NO_FAILURE, FailedProbe, assess_steadiness

THROTTLED = FailedProbe(Step.GET_KEY, 3011, Reason.THROTTLED)
SLOW = FailedProbe(Step.CHALLENGE, 3008, Reason.CONNECT_TIMEOUT)


def test_fewer_failures_than_the_limit_are_steady():
    assert assess_steadiness([THROTTLED] * (FAILURES_OF_UNSTEADY - 1), 40, 2) is None


def test_a_single_run_of_failures_is_no_unsteady_target():
    assert assess_steadiness([THROTTLED] * 39, 40, 1) is None


@pytest.mark.parametrize(
    ("failed", "words", "most"),
    [
        ([THROTTLED] * 14, "unsteady: 3011 in 14 of the last 40 probes", THROTTLED),
        ([THROTTLED] * 2 + [SLOW], "unsteady: 3 of the last 40 probes failed, 2 with 3011", THROTTLED),
        ([THROTTLED, SLOW] * 2, "unsteady: 4 of the last 40 probes failed, 2 with 3008", SLOW),
        ([NO_FAILURE] * 3, "unsteady: 3 of the last 40 probes failed", NO_FAILURE),
    ],
)
def test_unsteady_target_has_its_most_frequent_failure(failed, words, most):
    found = assess_steadiness(failed, 40, 2)
    assert (str(found), found.most) == (words, most)
