"""Probes on request: one at a time, not too often, and never longer than the scrape allows."""

import asyncio

import pytest

from exporter.core.values import Facts, Fault, Outcome, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.web.probe import CachedReport, Limit, ProbeCache, ProbeDemand, RetryLater, limit_of

NO_LIMIT = Limit(seconds=None, remaining=None)
CUT = Limit(seconds=1.0, remaining=30.0)
CUT_SHORTER = Limit(seconds=0.1, remaining=30.0)


@pytest.mark.parametrize(
    ("header", "seconds", "remaining"),
    [
        (None, None, None),
        ("", None, None),
        ("garbage", None, None),
        ("nan", None, None),
        ("inf", None, None),
        ("-inf", None, None),
        ("-5", None, None),
        ("0", None, None),
        ("1e999", None, None),
        ("10", 9.5, 9.75),
        ("10.000000", 9.5, 9.75),
        ("11", None, 10.75),
        ("60", None, 59.75),
        ("1", 0.5, 0.75),
        ("0.5", 0.25, 0.375),
        ("0.2", 0.1, 0.15),
    ],
)
def test_the_scrape_timeout_minus_the_offset_limits_the_probe(header, seconds, remaining):
    limit = limit_of(header, offset=0.5, target_timeout=10.0)
    assert limit.seconds == pytest.approx(seconds)
    assert limit.remaining == pytest.approx(remaining)


def report(number=1, *, cut=False):
    if cut:
        facts = Facts(fault=Fault.READ_TIMEOUT, cut_by_scrape=True)
        steps = (StepResult(step=Step.CHALLENGE, outcome=Outcome.FAILED, code=3008, reason=Reason.SCRAPE_TIMEOUT, facts=facts),)
    else:
        steps = (StepResult(step=Step.CHALLENGE, outcome=Outcome.OK, duration=0.01),)
    return ProbeReport(
        target="a", started_at=float(number), duration=0.01, steps=steps, readiness=Readiness(ready=True, why="ready")
    )


class Vault:
    """Count probes and hold each until `go` is set. A `slow` vault leaves limited probes cut."""

    def __init__(self, *, slow=False):
        self.slow = slow
        self.probes = []
        self.go = asyncio.Event()
        self.now = 0.0
        self.slept = []
        self.most = self.running = 0

    async def probe(self, target, module, limit):
        self.probes.append((target, module, limit))
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go.wait()
        self.running -= 1
        return report(len(self.probes), cut=self.slow and limit.seconds is not None)

    async def sleep(self, seconds, changed):
        """Advance the clock without waiting."""
        self.slept.append(seconds)
        await asyncio.sleep(0)
        if not changed.is_set():
            self.now += seconds

    def cache(self):
        return ProbeCache(self.probe, min_interval=lambda: 5.0, clock=lambda: self.now, sleep=self.sleep)


@pytest.fixture
def vault():
    """A vault that answers at once."""
    made = Vault()
    made.go.set()
    return made


@pytest.fixture
def cache(vault):
    return vault.cache()


def request(cache, module="default", limit=NO_LIMIT, *, target="a", about=None, hasty=False):
    """Request a report. The module of the target is `default`; a `hasty` request is no scrape of Prometheus."""
    return cache.report_for(
        ProbeDemand(target=target, module=module, limit=limit, about=about, own=module == "default" and not hasty)
    )


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


async def begun(*demand, **about):
    """Return a request that waits for its report."""
    task = asyncio.create_task(request(*demand, **about))
    await settle()
    return task


async def test_requests_at_the_same_time_share_one_probe(vault, cache):
    vault.go.clear()
    requests = [asyncio.create_task(request(cache)) for _ in range(5)]
    await settle()
    vault.go.set()
    answers = await asyncio.gather(*requests)
    assert len(vault.probes) == 1
    assert answers == [CachedReport(report=report(1))] * 5


async def test_another_module_or_target_is_another_probe(vault, cache):
    for target, module in (("a", "default"), ("a", "other"), ("b", "default")):
        await request(cache, module, target=target)
    assert [each[:2] for each in vault.probes] == [("a", "default"), ("a", "other"), ("b", "default")]


async def test_repeat_within_the_minimum_interval_is_cached(vault, cache):
    await request(cache)
    vault.now = 4.9
    assert await request(cache) == CachedReport(report=report(1), age=4.9)
    vault.now = 5.0
    assert await request(cache) == CachedReport(report=report(2))


async def test_report_from_before_a_reload_is_not_reused(cache):
    await request(cache, about="old")
    assert await request(cache, about="new") == CachedReport(report=report(2))
    assert await request(cache, about="new") == CachedReport(report=report(2), age=0.0)


async def test_request_after_a_reload_joins_no_earlier_probe(vault, cache):
    vault.go.clear()
    before = await begun(cache, about="old")
    after = [asyncio.create_task(request(cache, about="new")) for _ in range(2)]
    await settle()
    assert len(vault.probes) == 1
    vault.go.set()
    assert await asyncio.gather(before, *after) == [CachedReport(report=report(number)) for number in (1, 2, 2)]
    assert (len(vault.probes), vault.most, vault.slept) == (2, 1, [])


async def test_close_ends_probes_from_before_and_after_a_reload(vault, cache):
    vault.go.clear()
    requests = [asyncio.create_task(request(cache, about=about)) for about in ("old", "new")]
    await settle()
    await cache.close()
    assert await asyncio.gather(*requests) == [None, None]


async def test_cut_probe_is_reused_for_equal_or_shorter_limits_only(vault, cache):
    vault.slow = True
    await request(cache, limit=CUT_SHORTER)
    assert await request(cache, limit=CUT_SHORTER) == CachedReport(report=report(1, cut=True), age=0.0)
    assert await request(cache, limit=CUT) == CachedReport(report=report(2, cut=True))
    assert await request(cache, limit=CUT_SHORTER) == CachedReport(report=report(2, cut=True), age=0.0)
    assert await request(cache) == CachedReport(report=report(3))
    assert await request(cache, limit=CUT) == CachedReport(report=report(3), age=0.0)
    assert vault.slept == [5.0, 5.0]


async def test_finished_probe_is_reused_for_every_limit(cache):
    await request(cache, limit=CUT)
    assert await request(cache) == CachedReport(report=report(1), age=0.0)


async def test_longer_request_probes_again_after_a_cut_probe(vault, cache):
    vault.slow = True
    vault.go.clear()
    impatient = await begun(cache, limit=CUT)
    patient = await begun(cache)
    assert len(vault.probes) == 1
    vault.go.set()
    assert await impatient == CachedReport(report=report(1, cut=True))
    assert await patient == CachedReport(report=report(2))


async def test_request_that_times_out_does_not_end_the_probe(vault, cache):
    vault.go.clear()
    patient = await begun(cache)
    assert await request(cache, limit=Limit(seconds=None, remaining=0.001)) is None
    vault.go.set()
    assert await patient == CachedReport(report=report(1))
    assert len(vault.probes) == 1


async def test_cancelled_request_does_not_end_the_probe(vault, cache):
    vault.go.clear()
    leaving = asyncio.create_task(request(cache))
    staying = await begun(cache)
    leaving.cancel()
    await settle()
    vault.go.set()
    assert await staying == CachedReport(report=report(1))


async def test_cache_drops_reports_after_the_minimum_interval(vault, cache):
    for number in range(100):
        vault.now = float(number)
        await request(cache, target=f"target-{number}")
    assert len(cache._recent) <= 6


async def test_close_ends_running_probes_and_their_requests(vault, cache):
    vault.go.clear()
    requests = await begun(cache)
    await cache.close()
    assert await requests is None


async def test_failed_probe_raises_for_its_request_only():
    calls = []

    async def broken_once(target, module, limit):
        calls.append((target, module, limit))
        if len(calls) == 1:
            raise RuntimeError("broken")
        return report(2)

    cache = ProbeCache(broken_once, min_interval=lambda: 5.0)
    with pytest.raises(RuntimeError, match="broken"):
        await request(cache)
    assert await request(cache) == CachedReport(report=report(2))


async def test_another_module_waits_and_gets_its_own_report(vault, cache):
    vault.go.clear()
    modules = ("default", "lab", "staging", "lab")
    requests = [asyncio.create_task(request(cache, module)) for module in modules]
    await settle()
    assert len(vault.probes) == 1
    vault.go.set()
    assert await asyncio.gather(*requests) == [CachedReport(report=report(number)) for number in (1, 2, 3, 2)]
    assert [each[1] for each in vault.probes] == ["default", "lab", "staging"]
    assert (vault.most, vault.slept) == (1, [5.0, 5.0])


async def test_minimum_interval_applies_between_modules(vault, cache):
    await request(cache)
    vault.now = 3.0
    assert await request(cache, "lab") == CachedReport(report=report(2))
    assert vault.slept == [2.0]
    vault.now = 6.0
    assert await request(cache, "lab") == CachedReport(report=report(2), age=1.0)
    assert await request(cache, "lab", target="b") == CachedReport(report=report(3))
    assert vault.slept == [2.0]


async def test_own_module_precedes_earlier_requests(vault, cache):
    vault.go.clear()
    requests = []
    for module in ("lab", "staging", "default"):
        requests.append(asyncio.create_task(request(cache, module)))
        await settle()
    vault.go.set()
    await asyncio.gather(*requests)
    assert [each[1] for each in vault.probes] == ["lab", "default", "staging"]


async def test_own_module_does_not_wait_for_short_requests(vault, cache):
    vault.slow = True
    await request(cache, "lab")
    assert await request(cache, limit=CUT_SHORTER, hasty=True) == CachedReport(report=report(2, cut=True))
    assert vault.slept == [5.0]
    assert await request(cache, limit=Limit(seconds=None, remaining=1.0)) == CachedReport(report=report(3))
    assert vault.slept == [5.0]
    vault.now += 1.0
    assert await request(cache, limit=CUT_SHORTER, hasty=True) == CachedReport(report=report(3), age=1.0)
    await request(cache, "lab")
    assert vault.slept == [5.0, 4.0]


async def test_own_module_does_not_wait_for_the_minimum_interval(vault):
    cache = ProbeCache(vault.probe, min_interval=lambda: 20.0)
    await request(cache, "lab")
    waiting = asyncio.create_task(request(cache, "staging"))
    hasty = await begun(cache, limit=Limit(seconds=1.0, remaining=60.0), hasty=True)
    async with asyncio.timeout(30):
        assert await request(cache) == await hasty == CachedReport(report=report(2))
    assert not waiting.done()
    await cache.close()
    assert await waiting is None


@pytest.mark.parametrize("limit", [Limit(seconds=None, remaining=3.9), Limit(seconds=0.1, remaining=0.15)])
async def test_request_too_short_to_wait_gets_retry_after(vault, cache, limit):
    await request(cache)
    vault.now = 1.0
    assert await request(cache, "lab", limit) == RetryLater(4.0)
    assert (len(vault.probes), vault.slept) == (1, [])


async def test_request_that_waited_too_long_gets_retry_after(vault, cache):
    vault.go.clear()
    first = await begun(cache)
    assert await request(cache, "lab", Limit(seconds=None, remaining=0.001)) == RetryLater(5.0)
    vault.go.set()
    await first
    await settle()
    assert len(vault.probes) == 1


async def test_long_minimum_interval_does_not_hold_a_request(vault):
    cache = ProbeCache(vault.probe, min_interval=lambda: 3600.0, clock=lambda: vault.now, sleep=vault.sleep)
    vault.go.clear()
    first = await begun(cache)
    for _ in range(2):
        assert await request(cache, "lab") == RetryLater(3600.0)
        vault.go.set()
        await first


async def test_growing_timeouts_do_not_exceed_the_minimum_interval(vault, cache):
    vault.slow = True
    limits = [Limit(seconds=number / 1000, remaining=number / 900) for number in range(1, 50)]
    answers = [await request(cache, limit=limit) for limit in limits]
    assert answers[1:] == [RetryLater(5.0)] * 48
    assert len(vault.probes) == 1


async def test_waiting_probe_gets_the_longest_limit_of_its_requests(vault, cache):
    vault.slow = True
    vault.go.clear()
    requests = [asyncio.create_task(request(cache, "lab"))]
    await settle()
    requests += [asyncio.create_task(request(cache, limit=limit)) for limit in (CUT_SHORTER, NO_LIMIT, CUT)]
    await settle()
    vault.go.set()
    await asyncio.gather(*requests)
    assert vault.probes == [("a", "lab", NO_LIMIT), ("a", "default", NO_LIMIT)]


async def test_close_before_the_start_of_a_probe_ends_it(vault, cache):
    vault.go.clear()
    requests = asyncio.create_task(request(cache))
    await asyncio.sleep(0)
    await cache.close()
    assert await requests is None
    assert vault.probes == []
