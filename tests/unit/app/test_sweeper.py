"""The sweeper continues after errors."""

import pytest

from exporter.app import service
from exporter.app.service import Sweeper
from tests.support.web_server import until


class Recorder:
    """Fails at the first sweep, and at each try to drop the verdict of `broken`."""

    def __init__(self):
        self.sweeps, self.dropped, self.unmeasured = 0, [], []

    def ready(self, *, ready):
        assert ready

    def sweep(self, _now):
        self.sweeps += 1
        if self.sweeps == 1:
            raise MemoryError

    def drop_result(self, name):
        self.drop_verdict(f"{name}, not measured")

    def drop_verdict(self, name):
        if name == "broken":
            raise KeyError(name)
        self.dropped.append(name)


class Records:
    def unmeasured(self, _now):
        return {"late": 0.7}

    def stale(self, _now):
        return {"a", "broken", "z"}


@pytest.fixture
def run(monkeypatch):
    monkeypatch.setattr(service, "SWEEP_SECONDS", 0.0)
    recorder, bugs, started = Recorder(), [], []

    def start(on_sweep=lambda _now: None):
        made = Sweeper(
            recorder,
            Records(),
            ready=lambda: True,
            on_sweep=on_sweep,
            on_unmeasured=recorder.unmeasured.append,
            on_internal_error=bugs.append,
        )
        made.start()
        started.append(made)

    yield start, recorder, bugs
    started[0].stop()


async def test_error_does_not_end_the_sweep_or_delay_other_targets(run):
    start, recorder, bugs = run
    start()
    await until(lambda: recorder.sweeps >= 3)
    assert sorted(recorder.dropped) == ["a", "late, not measured", "z"]
    assert recorder.unmeasured[:2] == [{"late": 0.7}] * 2
    assert {type(bug) for bug in bugs} == {MemoryError, KeyError}


async def test_error_of_the_callback_ends_no_sweep(run):
    start, recorder, bugs = run
    start(on_sweep=lambda now: 1 / (now * 0))
    await until(lambda: recorder.sweeps >= 3)
    assert ZeroDivisionError in {type(bug) for bug in bugs}
