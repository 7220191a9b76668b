"""Due times, errors, replacements and the end of periodic jobs."""

import asyncio
import gc
from dataclasses import dataclass, field

import pytest

from exporter.runtime.tasks import PeriodicRunner

BUG = ZeroDivisionError("a bug")


@dataclass(eq=False)
class Job:
    due: float
    takes: float = 0.0
    starts: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)  # exceptions of its runs in turn; then none
    cancelled: int = 0


def now():
    return asyncio.get_running_loop().time()


async def run(job):
    job.starts.append(now())
    try:
        await asyncio.sleep(job.takes)
    except asyncio.CancelledError:
        job.cancelled += 1
        await asyncio.sleep(3.0)  # closes its connections
        raise
    if job.outcomes and (outcome := job.outcomes.pop(0)) is not None:
        raise outcome
    job.due += 60.0


@pytest.fixture
def errors():
    return []


@pytest.fixture
async def runner(errors):
    made = PeriodicRunner(run, pause=lambda _job: 7.0, on_error=lambda job, error: errors.append((job, error)), name="job")
    yield made
    await made.aclose()
    assert len(asyncio.all_tasks()) == 1


async def test_job_runs_when_it_is_due(runner):
    job = Job(due := now() + 5.0, takes=2.0)
    runner.start("a", job)
    await asyncio.sleep(180.0)
    assert job.starts == pytest.approx([due, due + 60.0, due + 120.0])


async def test_waiting_jobs_have_no_task(runner):
    for name in "abc":
        runner.start(name, Job(now() + 60.0))
    await asyncio.sleep(1.0)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("outcome", "reported"), [(BUG, "a bug"), (asyncio.CancelledError(), "cancelled from inside")], ids=["bug", "cancellation"]
)
async def test_error_is_reported_and_the_job_repeated_after_the_pause(runner, errors, outcome, reported):
    failing, sound = Job(now(), outcomes=[outcome]), Job(now())
    runner.start("failing", failing)
    runner.start("sound", sound)
    await asyncio.sleep(100.0)
    assert [(job, str(error)) for job, error in errors] == [(failing, reported)]
    assert [start - failing.starts[0] for start in failing.starts] == pytest.approx([0.0, 7.0, 67.0])
    assert len(sound.starts) == 2


async def test_run_cancelled_by_another_task_is_reported_and_repeated(runner, errors):
    job = Job(now(), takes=1.0)
    runner.start("a", job)
    await asyncio.sleep(0.5)
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()
    await asyncio.sleep(30.0)
    assert [str(error) for _, error in errors] == ["cancelled and not stopped"]
    assert [start - job.starts[0] for start in job.starts] == pytest.approx([0.0, 0.5 + 3.0 + 7.0])


async def test_failing_error_callback_ends_no_job(runner):
    handled = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: handled.append(context["exception"]))

    def fail(_job, _error):
        raise LookupError

    runner._on_error = fail
    job = Job(now(), outcomes=[BUG])
    runner.start("a", job)
    await asyncio.sleep(30.0)
    gc.collect()  # asyncio then reports what no one received
    assert len(job.starts) == 2
    assert [type(error) for error in handled] == [LookupError]


async def test_waiting_job_can_be_advanced_and_not_delayed(runner):
    job = Job(now() + 60.0)
    runner.start("a", job)
    runner.advance("a", now() + 90.0)
    runner.advance("a", sooner := now() + 5.0)
    await asyncio.sleep(50.0)
    assert job.starts == pytest.approx([sooner])


async def test_stopped_job_is_returned_and_never_runs(runner):
    job = Job(now() + 5.0)
    runner.start("a", job)
    assert runner.stop("a") is job
    assert runner.stop("a") is None
    await asyncio.sleep(60.0)
    assert job.starts == []


async def test_new_job_waits_for_the_cancelled_run_of_its_name(runner, errors):
    old, new = Job(now(), takes=30.0), Job(now() + 2.0)
    runner.start("a", old)
    await asyncio.sleep(1.0)
    runner.start("a", new)
    replaced_at = now()
    await asyncio.sleep(10.0)
    assert (old.cancelled, len(old.starts)) == (1, 1)
    assert new.starts == pytest.approx([replaced_at + 3.0])
    assert not errors


async def test_replaced_replacement_cancels_the_run_once(runner):
    old, last = Job(now(), takes=30.0), Job(now())
    runner.start("a", old)
    await asyncio.sleep(1.0)
    runner.start("a", Job(now()))
    await asyncio.sleep(1.0)
    runner.start("a", last)
    await asyncio.sleep(10.0)
    assert (old.cancelled, len(last.starts)) == (1, 1)


async def test_error_of_a_stopped_run_is_reported(runner, errors):
    async def stubborn(job):
        try:
            await asyncio.sleep(job.takes)
        except asyncio.CancelledError:
            raise BUG from None

    runner._run = stubborn
    job = Job(now(), takes=30.0)
    runner.start("a", job)
    await asyncio.sleep(1.0)
    runner.stop("a")
    await asyncio.sleep(60.0)
    assert errors == [(job, BUG)]


async def test_close_waits_for_cancelled_runs(runner, errors):
    running, waiting = Job(now(), takes=30.0), Job(now() + 60.0)
    runner.start("running", running)
    runner.start("waiting", waiting)
    await asyncio.sleep(1.0)
    began = now()
    await runner.aclose()
    assert now() == began + 3.0
    await asyncio.sleep(100.0)
    assert (running.cancelled, len(running.starts), waiting.starts, errors) == (1, 1, [], [])
