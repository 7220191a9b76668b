"""What one test leaves behind in the process is gone before the next."""

import contextlib
import logging

from tests import conftest


def test_log_of_one_test_is_gone_in_the_next():
    log, left_behind = logging.getLogger(), logging.NullHandler()
    before = (log.level, list(log.handlers))
    test = conftest.pytest_runtest_protocol()
    next(test)
    logging.basicConfig(level=logging.ERROR, handlers=[left_behind], force=True)
    assert log.handlers == [left_behind]
    with contextlib.suppress(StopIteration):
        test.send(None)
    assert (log.level, log.handlers) == before
