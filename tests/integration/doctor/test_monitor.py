"""Periodic preflight checks: due times, concurrency, reloads, errors, log lines."""

import asyncio
import logging
import re

import pytest

from exporter.app.service import Service
from exporter.app.web_endpoint import RunOptions
from exporter.clients.http.network import NetworkError
from exporter.config.settings import Config, Credential, Module, Settings
from exporter.core.values import CredentialKind
from exporter.doctor.monitor import CONCURRENT_RUNS, PreflightMonitor
from exporter.knowledge.checks_vault import CheckOutcome, CheckResult
from exporter.web.listener import parse_address
from exporter.web.options import web_options
from tests.support.doctor_simulated import TARGET
from tests.support.patience import PATIENCE
from tests.support.values import replace

GOOD = (CheckResult(check="dns_vault", outcome=CheckOutcome.PASS),)
BAD = (CheckResult(check="dns_vault", outcome=CheckOutcome.PASS), CheckResult(check="revocation", outcome=CheckOutcome.FAIL))
WORTH_A_LOOK = tuple(
    CheckResult(check="clock", outcome=one) for one in (CheckOutcome.WARN, CheckOutcome.SKIPPED, CheckOutcome.UNKNOWN)
)
SOON, LATE = 0.02, 3600.0


def a_config(*names, interval=SOON, **changes):
    return Config(
        settings=Settings(preflight_interval=interval),
        credentials={"sql-prod": Credential(name="sql-prod", kind=CredentialKind.CLIENT_SECRET)},
        modules={"default": Module(name="default")},
        targets={name: replace(TARGET, name=name, **changes) for name in names},
    )


class FakePreflights:
    """Checks with the results in `answers`, a list by target whose last entry repeats; by default all pass."""

    def __init__(self, *, draw=0.0):
        self.answers, self.reported, self.bugs, self.made, self.ended = {}, [], [], [], []
        self.gate = asyncio.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0
        self.changed = asyncio.Event()
        self.preflights = PreflightMonitor(
            self._make, on_results=self._record, on_internal_error=self._internal_error, draw=lambda: draw
        )

    def _record(self, target, results):
        self.reported.append((target.name, results))
        self.changed.set()

    def _internal_error(self, error):
        self.bugs.append(error)
        self.changed.set()

    async def _make(self, target):
        self.made.append(target)
        self.changed.set()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
            self.ended.append(target.name)
        answers = self.answers.get(target.name, [GOOD])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def until(self, condition):
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def fake():
    made = FakePreflights()
    yield made
    await made.preflights.aclose()


async def test_every_target_is_checked_periodically(fake):
    fake.preflights.reconcile(a_config("a", "b"))
    await fake.until(lambda: fake.reported.count(("a", GOOD)) > 1 and fake.reported.count(("b", GOOD)) > 1)

    assert fake.preflights.last_of("a").results == GOOD
    assert fake.preflights.last_of("unknown") is None


async def test_concurrent_runs_are_limited(fake):
    fake.gate.clear()
    fake.preflights.reconcile(a_config("a", "b", "c", "d"))
    await fake.until(lambda: len(fake.made) == CONCURRENT_RUNS)
    await asyncio.sleep(5 * SOON)  # the others are due
    assert len(fake.made) == CONCURRENT_RUNS
    fake.gate.set()
    await fake.until(lambda: {name for name, _ in fake.reported} == {"a", "b", "c", "d"})

    assert fake.most_at_once == CONCURRENT_RUNS


async def test_first_runs_are_spread_over_an_hour():
    first, last = FakePreflights(draw=0.0).preflights, FakePreflights(draw=1.0).preflights
    now = asyncio.get_running_loop().time()

    for preflights in (first, last):
        preflights._interval = 6 * LATE
    assert first._first() - now == pytest.approx(120, abs=1)
    assert last._first() - now == pytest.approx(3600, abs=1)
    last._interval = 600.0
    assert last._first() - now == pytest.approx(600, abs=1)


async def test_interval_0_runs_no_checks(fake):
    fake.preflights.reconcile(a_config("a", interval=0.0))
    await asyncio.sleep(5 * SOON)

    assert fake.made == []


@pytest.mark.parametrize(("bug", "kind"), [(ZeroDivisionError, ZeroDivisionError), (asyncio.CancelledError, RuntimeError)])
async def test_error_of_one_target_is_reported_and_stops_no_other(fake, bug, kind):
    fake.answers["a"] = [bug("a bug")]
    fake.preflights.reconcile(a_config("a", "b"))
    await fake.until(lambda: len(fake.bugs) > 1 and ("b", GOOD) in fake.reported)

    assert {type(bug) for bug in fake.bugs} == {kind}
    assert "a" not in dict(fake.reported)


async def test_unloadable_authorities_keep_the_last_run(fake, caplog):
    caplog.set_level(logging.INFO)
    fake.answers["a"] = [BAD, NetworkError("module default: ca.pem holds no usable certificate authority"), GOOD]
    fake.preflights.reconcile(a_config("a"))
    await fake.until(lambda: ("a", GOOD) in fake.reported)

    assert fake.reported[:2] == [("a", BAD), ("a", GOOD)]
    assert fake.bugs == []
    assert "preflight run failed" in caplog.text


async def test_removed_target_is_cancelled_and_forgotten(fake):
    fake.preflights.reconcile(a_config("a", "b"))
    await fake.until(lambda: {"a", "b"} <= dict(fake.reported).keys())
    fake.gate.clear()
    await fake.until(lambda: fake.at_once == CONCURRENT_RUNS)
    fake.preflights.reconcile(a_config("b"))
    assert fake.reported[-1] == ("a", None)
    reported = len(fake.reported)
    fake.gate.set()
    await fake.until(lambda: len(fake.reported) > reported + 1)

    assert {name for name, _ in fake.reported[reported:]} == {"b"}
    assert fake.preflights.last_of("a") is None


async def test_changed_target_starts_again(fake):
    fake.answers["a"] = [BAD]
    fake.preflights.reconcile(a_config("a"))
    await fake.until(lambda: ("a", BAD) in fake.reported)
    fake.preflights.reconcile(a_config("a", key_version="c" * 32), ["a"])

    assert fake.preflights.last_of("a") is None
    assert fake.reported[-1] == ("a", None)
    await fake.until(lambda: fake.reported[-1] == ("a", BAD))
    assert fake.made[-1].key_version == "c" * 32


async def test_shorter_interval_applies_at_once(fake):
    fake.preflights.reconcile(a_config("a", interval=6 * LATE))
    await asyncio.sleep(0)
    fake.preflights.reconcile(a_config("a"))
    await fake.until(lambda: ("a", GOOD) in fake.reported)
    fake.preflights.reconcile(a_config("a", interval=0.0))
    assert fake.reported[-1] == ("a", None)
    made = len(fake.made)
    await asyncio.sleep(5 * SOON)

    assert len(fake.made) == made


async def test_close_cancels_all_runs(fake):
    before = asyncio.all_tasks()
    fake.gate.clear()
    fake.preflights.reconcile(a_config("a", "b", "c"))
    await fake.until(lambda: fake.at_once == CONCURRENT_RUNS)
    await fake.preflights.aclose()

    assert asyncio.all_tasks() == before
    assert len(fake.ended) == CONCURRENT_RUNS


async def test_change_of_failed_checks_is_logged_once(fake, caplog):
    caplog.set_level(logging.INFO)
    fake.answers["a"] = [WORTH_A_LOOK, BAD, BAD, GOOD, GOOD]
    fake.preflights.reconcile(a_config("a"))
    await fake.until(lambda: len(fake.reported) > 5)

    assert [record.getMessage() for record in caplog.records] == ["preflight failed", "preflight passes again"]


def checks_in(text):
    """The number of failed checks in a scrape, None while unknown, and their names."""
    count = re.search(r"^ekm_preflight_failed_checks\{.*\} (\S+)$", text, re.MULTILINE)
    return None if count is None else float(count[1]), set(
        re.findall(r'^ekm_preflight_failed\{check="(\w+)"', text, re.MULTILINE)
    )


async def scraped(service, wanted):
    """The first scrape that satisfies `wanted`."""
    async with asyncio.timeout(PATIENCE):
        while True:
            text = b"".join([chunk async for chunk in service.recorder.scrape(openmetrics=False)]).decode()
            if wanted(*checks_in(text)):
                return text
            await asyncio.sleep(0.05)


async def test_exporter_shows_failed_checks_of_good_targets(harness):
    harness.target = replace(TARGET, retained_versions=(replace(TARGET.retained_versions[0], key_version="d" * 32),))
    config = harness.configuration()
    broken = replace(config, settings=replace(config.settings, preflight_interval=0.2))
    fixed = replace(broken, targets={TARGET.name: TARGET})
    # A very short interval, so that the test does not wait.
    service = Service(broken, RunOptions(listen=(parse_address("127.0.0.1:0"),), web=web_options()))
    await service.start()
    try:
        text = await scraped(service, lambda count, _: count is not None)
        await scraped(service, lambda _count, failing: failing == {"retained_versions"})
        assert re.search(r"^ekm_probe_success\{.*\} 1(\.0)?$", text, re.MULTILINE)
        await service.apply(fixed)
        await scraped(service, lambda count, failing: (count, failing) == (0, set()))
        await service.apply(replace(fixed, settings=replace(fixed.settings, preflight_interval=0.0)))
        text = await scraped(service, lambda count, _: count is None)
    finally:
        await service.stop()

    assert re.search(r"^ekm_exporter_internal_errors_total 0(\.0)?$", text, re.MULTILINE)
