"""Start times, slots, backoff, reloads and failures of scheduled probes."""

import asyncio
import math
from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from exporter.core.limits import slots_for
from exporter.core.values import Fault
from exporter.probing import schedule
from exporter.probing.schedule import FEWEST_AT_ONCE, ProbeSlots, Scheduler, Skip
from tests.support.factories import DISCARDED, a_failure, a_fleet, a_report, a_target, a_throttled_report
from tests.support.values import replace

# Start times, concurrency, backoff, reloads and failures of scheduled probes.

HOUR = 3600.0
GOOD = a_report()
UNSURE = replace(a_failure(fault=Fault.CONNECT_TIMEOUT, status=None), readiness=DISCARDED)
BUG = RuntimeError("a bug")


class Prober:
    """A fake probe and the scheduler's callbacks, with the loop time of each call."""

    def __init__(self, *, takes=0.1):
        self.takes = takes
        self.answers = {}  # by target: a report, an exception, or a function that returns one
        self.starts = defaultdict(list)
        self.running = set()
        self.most_at_once = 0
        self.reports = []
        self.skips = Counter()
        self.lags = []
        self.bugs = []
        self.cancelled = 0
        self.failing = False

    async def probe(self, target):
        self.starts[target.name].append(now())
        assert target.name not in self.running, "two probes of one target at once"
        self.running.add(target.name)
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running.discard(target.name)
        answer = self.answers.get(target.name, GOOD)
        answer = answer() if callable(answer) else answer
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def on_report(self, target, report):
        if self.failing:
            raise BUG
        self.reports.append((now(), target, report))

    def on_skip(self, reason, count):
        self.skips[reason] += count

    def on_lag(self, seconds):
        self.lags.append(seconds)

    def on_internal_error(self, error):
        self.bugs.append((now(), error))

    def gaps(self, name):
        return [after - before for before, after in pairwise(self.starts[name])]


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture
def prober():
    return Prober()


@pytest.fixture
async def scheduler(prober, rng):
    async def probe(target):
        return await prober.probe(target)  # a test may replace it

    scheduler = Scheduler(
        probe=probe,
        on_report=prober.on_report,
        on_skip=prober.on_skip,
        on_lag=prober.on_lag,
        on_internal_error=prober.on_internal_error,
        concurrency=64,
        rng=rng,
        clock=lambda: now() + 1_700_000_000,
    )
    yield scheduler
    await scheduler.aclose()


async def test_target_is_probed_at_its_interval_within_a_tenth(scheduler, prober):
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(HOUR)
    gaps = prober.gaps("payroll")
    assert 54.0 <= min(gaps) < 56.0
    assert 64.0 < max(gaps) <= 66.0 + 1e-6
    assert 57 <= len(gaps) <= 63


async def test_slow_probe_does_not_shift_the_schedule(scheduler, prober):
    prober.takes = 25.0
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(10 * HOUR)
    assert len(prober.starts["payroll"]) == pytest.approx(600, abs=12)
    assert not prober.skips


async def test_first_probes_are_spread_and_the_first_starts_soon(scheduler, prober):
    begin = now()
    scheduler.reconcile(a_fleet(2000, interval=60.0))
    await asyncio.sleep(60.0)
    offsets = sorted(starts[0] - begin for starts in prober.starts.values())
    assert len(offsets) == 2000
    assert offsets[0] < 0.5
    assert offsets[-1] <= 24.0
    assert all(Counter(int(offset) for offset in offsets)[second] < 150 for second in range(24))


async def test_probe_longer_than_interval_skips_starts_and_counts_them(scheduler, prober):
    prober.takes = 100.0
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(HOUR)
    skipped = prober.skips[Skip.OVERLAP]
    assert skipped == pytest.approx(30, abs=4)
    assert len(prober.starts["payroll"]) + skipped == pytest.approx(60, abs=4)


async def test_wait_for_a_slot_counts_as_lag(scheduler, prober):
    prober.takes = 10.0
    scheduler.reconcile(a_fleet(2, interval=60.0), concurrency=1)
    await asyncio.sleep(30.0)
    assert len(prober.reports) == 2
    assert prober.lags[0] == pytest.approx(0.0, abs=1e-6)
    assert prober.lags[1] == pytest.approx(10.0, abs=0.05)


async def test_dead_targets_do_not_delay_healthy_ones(scheduler, prober):
    dead, healthy = a_fleet(385, interval=60.0, timeout=10.0), [a_target("healthy", interval=60.0)]

    async def probe(target):
        await asyncio.sleep(0.1 if target.name == "healthy" else 10.0)
        return GOOD

    prober.probe = probe
    scheduler.reconcile([*dead, *healthy], concurrency=slots_for([(60.0, 10.0)] * 386))
    await asyncio.sleep(HOUR)
    assert max(prober.lags) < 0.01


async def test_throttled_vault_skips_one_two_then_four_intervals(scheduler, prober):
    prober.answers["payroll"] = a_throttled_report()
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(30 * 60.0)
    intervals = [round(gap / 60.0) for gap in prober.gaps("payroll")]
    assert intervals[:6] == [1, 1, 2, 3, 5, 5]
    assert prober.skips[Skip.BACKOFF] == sum(count - 1 for count in intervals) + 4
    assert not prober.skips[Skip.OVERLAP]


@pytest.mark.parametrize("processor_seconds", [0.002, 0.01], ids=["fast host", "slow host"])
async def test_fleet_is_well_again_after_its_longest_interval(scheduler, prober, processor_seconds):
    """1,250 vaults fail for a little longer than an interval. The slow host computes for five sixths of the time."""
    answer = a_failure()

    async def probe(_target):
        asyncio.get_running_loop().stall(processor_seconds / 2)
        await asyncio.sleep(0.02)
        asyncio.get_running_loop().stall(processor_seconds / 2)
        return answer

    prober.probe = probe
    scheduler.reconcile(a_fleet(1250, interval=15.0), concurrency=64)
    await asyncio.sleep(31.5)
    answer, recovered = GOOD, now()
    await asyncio.sleep(20.0)
    first_good = {}
    for at, target, report in prober.reports:
        if report is GOOD:
            first_good.setdefault(target.name, at - recovered)
    assert len(first_good) == 1250
    assert max(first_good.values()) <= 1.1 * 15.0 + 0.5  # and the lag of the slow host
    assert not prober.skips


async def test_crash_is_reported_and_affects_no_other_probe(scheduler, prober):
    prober.answers["broken"] = BUG
    scheduler.reconcile([a_target("broken"), a_target("sound")])
    await asyncio.sleep(HOUR)
    assert [error for _, error in prober.bugs] == [BUG] * len(prober.starts["broken"])
    assert len(prober.bugs) > 50
    assert len([1 for _, target, _ in prober.reports if target.name == "sound"]) > 50


async def test_failing_callback_is_reported_and_loop_continues(scheduler, prober):
    prober.failing = True
    scheduler.reconcile([a_target()])
    await asyncio.sleep(HOUR)
    assert len(prober.bugs) == len(prober.starts["payroll"]) > 50


async def test_dead_loop_is_reported_and_restarts_after_an_interval(scheduler, prober):
    answers = iter([asyncio.CancelledError(), *[a_report()] * 100])
    prober.answers["payroll"] = lambda: next(answers)
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(10 * 60.0)
    [(died_at, error)] = prober.bugs
    assert type(error) is RuntimeError
    assert prober.starts["payroll"][1] == pytest.approx(died_at + 60.0)
    assert len(prober.starts["payroll"]) >= 9


async def test_discarded_probe_is_not_reported(scheduler, prober):
    prober.answers["payroll"] = lambda: None
    scheduler.reconcile([a_target()])
    await asyncio.sleep(600.0)
    assert not prober.reports
    assert not prober.bugs
    assert len(prober.starts["payroll"]) >= 9


async def test_reload_keeps_the_job_of_an_unchanged_target(scheduler):
    scheduler.reconcile([a_target("kept"), a_target("other")])
    await asyncio.sleep(10.0)
    job, planned = scheduler._runner.jobs["kept"], scheduler.next_probe_at("kept")
    scheduler.reconcile([a_target("kept"), a_target("new")])
    assert scheduler._runner.jobs["kept"] is job
    assert scheduler.next_probe_at("kept") == planned
    assert scheduler._runner.jobs.keys() == {"kept", "new"}


async def test_frequent_reloads_do_not_add_probes(scheduler, prober):
    for label in range(514):
        scheduler.reconcile([a_target(interval=60.0, labels={"edition": str(label)}), a_target("kept", interval=60.0)])
        await asyncio.sleep(7.0)  # no divisor of 60: a reload at the moment of a start is rare
    assert len(prober.starts["kept"]) == pytest.approx(60, abs=4)
    assert len(prober.starts["payroll"]) == pytest.approx(60, abs=4)


async def test_target_that_changes_often_is_still_probed(scheduler, prober):
    prober.takes = 8.0
    for label in range(720):
        scheduler.reconcile([a_target(interval=60.0, labels={"edition": str(label)})])
        await asyncio.sleep(5.0)
    assert len(prober.starts["payroll"]) > 55


async def test_shorter_interval_applies_at_once(scheduler, prober):
    scheduler.reconcile([a_target(interval=3600.0)])
    await asyncio.sleep(10.0)
    scheduler.reconcile([a_target(interval=10.0)])
    await asyncio.sleep(60.0)
    assert len(prober.starts["payroll"]) >= 6


async def test_changed_target_keeps_backoff_of_the_same_vault_only(scheduler, prober):
    prober.answers["payroll"] = a_throttled_report()
    scheduler.reconcile([a_target()])
    await asyncio.sleep(170.0)
    assert scheduler._runner.jobs["payroll"].throttled == 3
    scheduler.reconcile([a_target(labels={"team": "dba"})])
    assert scheduler._runner.jobs["payroll"].throttled == 3
    scheduler.reconcile([a_target(vault="other.vault.azure.net")])
    assert scheduler._runner.jobs["payroll"].throttled == 0


async def test_removed_target_is_cancelled_and_never_reported(scheduler, prober):
    prober.takes = 10.0
    scheduler.reconcile([a_target("gone"), a_target("kept")])
    await asyncio.sleep(1.0)
    scheduler.reconcile([a_target("kept")])
    await asyncio.sleep(HOUR)
    assert prober.cancelled == 1
    assert {target.name for _, target, _ in prober.reports} == {"kept"}
    assert scheduler.next_probe_at("gone") is None


async def test_probe_that_outlives_its_removal_is_not_reported(scheduler, prober):
    async def stubborn(target):
        prober.starts[target.name].append(now())
        assert target.name not in prober.running
        prober.running.add(target.name)
        try:
            await asyncio.sleep(5.0)
        except asyncio.CancelledError:
            await asyncio.sleep(20.0)  # the probe ignores the cancellation
        prober.running.discard(target.name)
        return GOOD

    prober.probe = stubborn
    scheduler.reconcile([a_target()])
    await asyncio.sleep(1.0)
    removed_at = now()
    scheduler.reconcile([])
    await asyncio.sleep(1.0)
    scheduler.reconcile([a_target()])
    await asyncio.sleep(60.0)
    assert len(prober.starts["payroll"]) >= 2
    assert prober.starts["payroll"][1] >= removed_at + 20.0
    assert all(at > removed_at + 20.0 for at, _, _ in prober.reports)
    assert not prober.bugs


async def test_report_callback_can_read_the_next_start(scheduler):
    reported = []
    scheduler._on_report = lambda target, _: reported.append((now(), scheduler.next_probe_at(target.name)))
    scheduler.reconcile([a_target(interval=60.0)])
    await asyncio.sleep(90.0)
    reported_at, following = reported[0]
    assert 50.0 < following - 1_700_000_000 - reported_at <= 66.0


async def test_first_round_ends_when_each_target_was_probed(scheduler, prober):
    prober.answers |= {"refused": a_failure("refused"), "broken": BUG}
    scheduler.reconcile([a_target("good"), a_target("refused"), a_target("broken")])
    assert not scheduler.first_round_done.is_set()
    await asyncio.wait_for(scheduler.first_round_done.wait(), 1.0)


async def test_first_round_waits_for_a_probe_that_was_not_made(scheduler, prober):
    answers = iter([None, None, *[GOOD] * 100])
    prober.answers["payroll"] = lambda: next(answers)
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(3.0)
    assert not scheduler.first_round_done.is_set()
    await asyncio.wait_for(scheduler.first_round_done.wait(), 60.0)


async def test_probe_without_a_result_is_retried_before_the_interval(scheduler, prober):
    answers = iter([GOOD, None, None, *[GOOD] * 100])
    prober.answers["payroll"] = lambda: next(answers)
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(2 * HOUR)
    regular, first, second, after = prober.gaps("payroll")[:4]
    assert 2.5 <= first <= 7.7
    assert 5.0 <= second <= 15.2
    assert min(regular, after) >= 810.0


async def test_an_outage_on_a_slow_host_adds_one_probe_for_each_target(scheduler, prober):
    answers = iter([GOOD, *[UNSURE] * 100])
    prober.answers["payroll"] = lambda: next(answers)
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(4 * HOUR)
    regular, retry, *after = prober.gaps("payroll")
    assert 2.5 <= retry <= 7.7
    assert min(regular, *after) >= 800.0
    assert len(after) >= 12


async def test_uncertain_first_probes_have_longer_and_longer_pauses(scheduler, prober):
    prober.answers["payroll"] = UNSURE
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(4 * HOUR)
    gaps = prober.gaps("payroll")
    assert gaps[0] <= 7.7
    assert min(gaps[10:]) >= 899.0
    assert not scheduler.first_round_done.is_set()


async def test_uncertain_first_probes_twice_in_a_row_let_fewer_run(scheduler, prober):
    prober.answers = {f"t{n}": UNSURE for n in range(100)}
    scheduler.reconcile([a_target(name, interval=900.0) for name in prober.answers], concurrency=100)
    await asyncio.sleep(60.0)
    assert scheduler._slots.limit < 100


async def test_uncertain_later_probes_let_as_many_run(scheduler, prober):
    fleet = [a_target(f"t{n}", interval=60.0) for n in range(100)]
    scheduler.reconcile(fleet, concurrency=100)
    await asyncio.wait_for(scheduler.first_round_done.wait(), 100.0)
    prober.answers = {each.name: UNSURE for each in fleet}
    await asyncio.sleep(600.0)
    assert scheduler._slots.limit == 100


async def test_probe_that_is_never_made_is_retried_each_minute(scheduler, prober):
    prober.answers["payroll"] = lambda: None
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(HOUR)
    assert 55 <= len(prober.starts["payroll"]) <= 85
    assert max(prober.gaps("payroll")) < 61.0


async def test_busy_host_gets_all_first_results_with_fewer_at_once(scheduler, prober):
    """This host makes 20 probes at once. If more run, most of them wait too long and cannot be made."""

    async def probe(target):
        prober.starts[target.name].append(now())
        prober.running.add(target.name)
        busy = len(prober.running) > 20
        await asyncio.sleep(10.0 if busy else 1.0)
        prober.running.discard(target.name)
        return None if busy else GOOD

    prober.probe = probe
    scheduler.reconcile(a_fleet(5000, interval=900.0), concurrency=833)
    await asyncio.sleep(60.0)
    assert scheduler.first_probes().text().endswith("The exporter tries them again until each has a result.")
    await asyncio.wait_for(scheduler.first_round_done.wait(), 840.0)
    found = scheduler.first_probes()
    assert (found.targets, found.missing, found.delayed, found.pace) == (5000, 0, 0, 0.0)


async def test_first_probes_that_wait_for_a_slot_are_delayed(scheduler, prober):
    prober.takes = 30.0
    scheduler.reconcile(a_fleet(50, interval=60.0, timeout=10.0), concurrency=20)
    await asyncio.sleep(25.0)
    assert (scheduler.first_probes().missing, scheduler.first_probes().delayed) == (50, 50)
    await asyncio.sleep(10.0)
    found = scheduler.first_probes()
    assert (found.missing, found.delayed) == (30, 30)
    assert found.seconds_left > 0


async def test_one_lost_first_probe_is_no_delay_but_two_are(scheduler, prober):
    prober.answers["payroll"] = lambda: None
    scheduler.reconcile([a_target(interval=900.0)])
    await asyncio.sleep(1.0)
    assert (scheduler.first_probes().missing, scheduler.first_probes().text()) == (1, "")
    await asyncio.sleep(8.0)
    assert scheduler.first_probes().text().startswith("1 of 1 targets have no result yet")


async def test_closed_scheduler_has_no_first_probes(scheduler):
    scheduler.reconcile([a_target()])
    await scheduler.aclose()
    assert scheduler.first_probes().missing == 0


async def test_first_round_waits_for_slow_but_not_removed_targets(scheduler, prober):
    prober.takes = 20.0
    scheduler.reconcile([a_target("kept"), a_target("removed"), a_target("changed")])
    await asyncio.sleep(19.0)
    scheduler.reconcile([a_target("kept"), a_target("changed", labels={"team": "dba"})])
    await asyncio.sleep(2.0)
    assert not scheduler.first_round_done.is_set()
    scheduler.reconcile([a_target("kept")])
    assert scheduler.first_round_done.is_set()


async def test_reload_does_not_reset_the_first_round(scheduler):
    scheduler.reconcile([a_target()])
    await scheduler.first_round_done.wait()
    scheduler.reconcile([a_target(), a_target("new")])
    assert scheduler.first_round_done.is_set()


async def test_close_during_probes_is_immediate_and_reports_nothing(scheduler, prober):
    prober.takes = 30.0
    scheduler.reconcile(a_fleet(50, interval=60.0))
    await asyncio.sleep(5.0)
    before = now()
    await scheduler.aclose()
    assert now() == before
    assert prober.cancelled == 50
    assert not prober.reports
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("target")]


async def test_closed_scheduler_starts_nothing(scheduler):
    await scheduler.aclose()
    await scheduler.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        scheduler.reconcile([a_target()])


async def test_stall_of_an_hour_causes_no_burst(scheduler, prober):
    scheduler.reconcile(a_fleet(5000, interval=60.0))
    await asyncio.sleep(120.0)
    asyncio.get_running_loop().stall(HOUR)
    woken = now()
    await asyncio.sleep(60.0)
    later = Counter(int(start - woken) for starts in prober.starts.values() for start in starts if start >= woken)
    assert later.total() == pytest.approx(5000, rel=0.05)
    assert max(later.values()) < 250
    assert prober.skips[Skip.STALL] == pytest.approx(60 * 5000, rel=0.02)


async def test_stall_delays_a_long_interval_by_a_minute(scheduler, prober):
    scheduler.reconcile(a_fleet(5000, interval=900.0))
    await asyncio.sleep(120.0)
    asyncio.get_running_loop().stall(HOUR)
    woken = now()
    await asyncio.sleep(62.0)
    assert sum(any(start >= woken for start in starts) for starts in prober.starts.values()) == 5000


# The slots of probes: in turn, and fewer on a host that is too busy.


@pytest.fixture
def slots():
    return ProbeSlots(100)


async def taken(slots, number):
    return [await slots.take() for _ in range(number)]


async def waiting(slots):
    task = asyncio.create_task(slots.take())
    await asyncio.sleep(0)
    return task


async def test_probe_waits_until_a_slot_is_free(slots):
    at, *_ = await taken(slots, 100)
    first, second = await waiting(slots), await waiting(slots)
    slots.release(at, made=True)
    await first
    assert not second.done()


async def test_probes_begun_before_the_reduction_reduce_nothing_more(slots):
    for at in await taken(slots, 80):
        slots.release(at, made=False)
    assert slots.limit == 40


async def test_later_failure_reduces_again_but_never_below_the_fewest(slots):
    for _ in range(8):
        await asyncio.sleep(1.0)
        for at in await taken(slots, slots.limit):
            slots.release(at, made=False)
    assert slots.limit == FEWEST_AT_ONCE


async def test_probes_that_were_made_restore_all_slots(slots):
    at, *others = await taken(slots, 100)
    slots.release(at, made=False)
    for at in others:
        slots.release(at, made=True)
    assert slots.limit == 54
    for _ in range(1000):
        slots.release(await slots.take(), made=True)
    assert slots.limit == 100


async def test_uncertain_probe_changes_nothing(slots):
    at, *others = await taken(slots, 80)
    slots.release(at, made=False)
    for at in others:
        slots.release(at, made=None)
    assert slots.limit == 40


@pytest.mark.parametrize("given", [False, True], ids=["waiting", "at the same moment"])
async def test_cancelled_wait_takes_no_slot(slots, given):
    at, *_ = await taken(slots, 100)
    gone, next_one = await waiting(slots), await waiting(slots)
    for act in (
        (lambda: slots.release(at, made=True), gone.cancel) if given else (gone.cancel, lambda: slots.release(at, made=True))
    ):
        act()
    await next_one


async def test_number_of_slots_changes_at_once_and_a_reduction_stays(slots):
    at, *_ = await taken(slots, 100)
    waits = await waiting(slots)
    slots.resize(101)
    await waits
    slots.release(at, made=False)
    assert slots.limit == 50
    slots.resize(200)
    assert slots.limit == 50
    slots.resize(20)
    assert slots.limit == 20


# Start delays, jitter, backoff and the number of slots.

INTERVAL = 60.0


def pause_after(failed, report=None, *, interval=900.0, draw=0.5, has_result=True):
    """The seconds until the next start after a probe that this host could not make so many times in a row."""
    job = schedule.TargetJob(a_target(interval=interval), due=1000.0, failed=failed)
    assert schedule.plan_next(job, report, now=1000.0, draw=draw, has_result=has_result).keys() <= {Skip.OVERLAP, Skip.BACKOFF}
    return job.due - 1000.0


@pytest.mark.parametrize(("failed", "seconds"), [(1, 5.0), (2, 10.0), (3, 20.0), (4, 40.0), (5, 60.0), (5000, 60.0)])
def test_retry_doubles_up_to_a_minute(failed, seconds):
    assert pause_after(failed) == seconds
    assert pause_after(failed, draw=1.0) == min(60.0, 1.5 * seconds)  # the limit is after the jitter
    assert pause_after(failed, interval=4.0) == 4.0


@pytest.mark.parametrize(("failed", "seconds"), [(1, 5.0), (2, 10.0), (7, 320.0), (8, 640.0), (9, 900.0), (5000, 900.0)])
def test_retry_of_an_uncertain_first_probe_doubles_up_to_the_interval(failed, seconds):
    assert pause_after(failed, a_report(), has_result=False) == seconds
    assert pause_after(failed, a_report()) == (seconds if failed == 1 else 900.0)  # with an earlier result, one retry
    assert pause_after(0, a_report(), has_result=False) == 900.0


@pytest.mark.parametrize(("late", "missed"), [(-5.0, 0), (0.0, 0), (0.1, 1), (60.0, 1), (60.1, 2), (3600.0, 60)])
def test_past_starts_are_missed(late, missed):
    assert schedule.missed_starts(1000.0, 1000.0 + late, INTERVAL) == missed


@pytest.mark.parametrize("between", [a_report(), a_failure()], ids=["success", "another failure"])
async def test_unthrottled_probe_resets_the_backoff(scheduler, prober, between):
    throttled = [a_throttled_report()] * 3
    answers = iter([*throttled, between, *throttled])
    prober.answers["payroll"] = lambda: next(answers, GOOD)
    scheduler.reconcile([a_target(interval=INTERVAL)])
    await asyncio.sleep(HOUR)
    assert [round(gap / INTERVAL) for gap in prober.gaps("payroll")][:8] == [1, 1, 2, 1, 1, 1, 2, 1]


@pytest.mark.parametrize(
    ("retry_after", "skipped"),
    [(0.0, 1), (5.0, 1), (60.0, 1), (120.0, 1), (120.5, 2), (300.0, 4), (86_400.0, 4), (math.inf, 4)],
)
def test_retry_after_lengthens_backoff_up_to_four_intervals(retry_after, skipped):
    assert [schedule.backoff(throttled, retry_after, INTERVAL) for throttled in range(4)] == [0, 0, 0, skipped]


@pytest.mark.parametrize(("targets", "least", "most"), [(5000, 5000 * 10 / 60, 5000), (400, 400, 400), (1, 64, 64), (0, 64, 64)])
def test_slots_suffice_if_every_target_times_out(targets, least, most):
    assert least <= slots_for([(60.0, 10.0)] * targets) <= most
