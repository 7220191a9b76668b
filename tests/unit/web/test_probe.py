"""`/probe` as Prometheus and operators use it: one probe at a time, not too often, and never longer than the scrape allows."""

import asyncio
import re
import time

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Module, Proxy, SecretSource, Settings
from exporter.core.values import Facts, Fault, Outcome, Readiness, Step
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import ProbeReport, StepResult
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from exporter.web.probe import CachedReport, Limit, ProbeCache, ProbeDemand, RetryLater, limit_of
from tests.support.factories import DISCARDED
from tests.support.values import replace
from tests.support.web_factories import bad, config, good, target
from tests.support.web_server import Service, answer, get, serving, until

NOT_FOR_IT = (
    "module 'lab' is not for target 'contoso-key0': omit the parameter module, "
    "or list the module under the target's modules in the configuration\n"
)
HEADER = "X-Prometheus-Scrape-Timeout-Seconds"


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("", "the parameter target is missing: request /probe?target=NAME with the name of a configured target\n"),
        ("?target=", "the parameter target is missing: request /probe?target=NAME with the name of a configured target\n"),
        ("?target=contoso-key1", "unknown target 'contoso-key1' (did you mean 'contoso-key0'?)\n"),
        ("?target=https://evil.example/", "unknown target 'https://evil.example/'\n"),
        ("?target=contoso-key0&module=deflaut", "unknown module 'deflaut' (did you mean 'default'?)\n"),
        ("?target=contoso-key0&module=lab", NOT_FOR_IT),
        ("?target=" + "a" * 500, f"unknown target '{'a' * 80}…'\n"),
        ("?target=a%0ab", "unknown target 'a\\nb'\n"),
    ],
)
async def test_unknown_name_is_400_without_a_probe(query, line):
    service = Service(config(modules={"default": Module(name="default"), "lab": Module(name="lab")}))
    async with serving(service) as session:
        status, _, text = await get(session, f"/probe{query}")
        assert (await get(session, f"/probe?debug=true&{query[1:]}"))[::2] == (status, text)
    assert (status, text) == (400, line)
    assert service.probed == []


async def test_transcript_names_an_unsteady_target():
    service, now = Service(), time.time()
    throttled = {"step": Step.GET_KEY, "code": 3011, "reason": Reason.THROTTLED, "status": 429}
    service.add_reports(*[bad(started_at=now, **throttled), good(started_at=now)] * 3)
    _, _, text = await answer(service, "/probe?target=contoso-key0&debug=true")
    assert text.startswith("The target is unsteady: 3011 in 3 of the last 6 probes.\n\ntarget ")


async def test_a_discarded_result_answers_0_and_is_not_red():
    service = Service()
    service.answer = lambda *args, **changes: replace(bad(*args, **changes), readiness=DISCARDED)
    _, _, text = await answer(service, "/probe?target=contoso-key0")
    shown = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert (shown["probe_success"], shown["ekm_probe_tainted"]) == (0, 1)
    assert not shown.keys() & {"ekm_last_probe_timestamp_seconds"}  # that of the last result: there is none
    assert not shown.keys() & {"ekm_probe_success", "ekm_vault_side_ready", "ekm_last_failure_info", "ekm_failure_action_info"}
    _, _, text = await answer(service, "/probe?target=contoso-key0&debug=true")
    assert re.search(r"^result +discarded: this host is too slow", text, re.MULTILINE)
    assert "not measured: this host is too slow (90 % of the time lost)" in text
    service.answer = good
    _, _, text = await answer(service, "/probe?target=contoso-key0")
    shown = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    assert (shown["probe_success"], shown["ekm_probe_success"], shown["ekm_probe_tainted"]) == (1, 1, 0)


async def test_failed_probe_is_status_200():
    service = Service()
    service.answer = bad
    status, headers, text = await answer(service, "/probe?target=contoso-key0")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert [sample.value for sample in families["ekm_probe_success"].samples] == [0.0]
    assert [sample.value for sample in families["probe_success"].samples] == [0.0]


async def test_openmetrics_is_sent_if_requested():
    async with serving(Service()) as session:
        accept = {"Accept": "application/openmetrics-text;version=2.0.0"}
        _, headers, text = await get(session, "/probe?target=contoso-key0", headers=accept)
    assert headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith("# EOF\n")


async def test_module_listed_by_the_target_is_accepted():
    service = Service(config(target(modules=("other",)), settings=Settings(min_interval=0.01)))
    async with serving(service) as session:
        await get(session, "/probe?target=contoso-key0&module=other")
        await get(session, "/probe?target=contoso-key0")
        await get(session, "/probe?target=contoso-key0&module=default")
    assert {probe[1] for probe in service.probed} == {"other", "default"}


async def test_another_module_too_soon_gets_retry_after():
    service = Service(config(target(modules=("other",)), settings=Settings(min_interval=3600.0)))
    async with serving(service) as session:
        await get(session, "/probe?target=contoso-key0")
        for query, headers in (("&module=other", {}), ("&module=other", {HEADER: "10"})):
            status, answered, text = await get(session, f"/probe?target=contoso-key0{query}", headers=headers)
            assert (status, answered["Retry-After"]) == (503, "3600")
            assert text.startswith("No report: another probe of this target is running, or ended less than min_interval ago.")
            assert text.endswith("Try again in 3600 s.\n")
    assert len(service.probed) == 1


async def test_another_module_waits_for_a_running_probe():
    service = Service(config(target(modules=("other",)), settings=Settings(min_interval=0.0)))
    service.go.clear()
    async with serving(service) as session:
        own = asyncio.create_task(get(session, "/probe?target=contoso-key0"))
        await until(lambda: service.probed)
        other = asyncio.create_task(get(session, "/probe?target=contoso-key0&module=other"))
        early = await get(session, "/probe?target=contoso-key0&module=other", headers={HEADER: "0.02"})
        assert (early[0], early[1]["Retry-After"], len(service.probed)) == (503, "1", 1)
        service.go.set()
        texts = [(await each)[2] for each in (own, other)]
    assert ['module="other"' in text for text in texts] == [False, True]
    assert [probe[1] for probe in service.probed] == ["default", "other"]


@pytest.mark.parametrize(("header", "seconds"), [(None, None), ("5", 4.5), ("15", None), ("soon", None)])
async def test_scrape_timeout_limits_the_probe(header, seconds):
    service = Service()
    await answer(service, "/probe?target=contoso-key0", headers={} if header is None else {HEADER: header})
    assert service.probed == [("contoso-key0", "default", seconds)]


async def test_scrape_too_short_for_a_running_probe_gets_503():
    service = Service()
    service.go.clear()
    status, _, text = await answer(service, "/probe?target=contoso-key0", headers={HEADER: "0.1"}, flags={"timeout_offset": 0.01})
    assert status == 503
    assert text.startswith("No report:")


async def test_internal_error_is_no_failure_of_the_vault():
    service = Service()
    service.answer = lambda _: None
    status, _, text = await answer(service, "/probe?target=contoso-key0")
    assert status == 503
    assert "The vault was not tested" in text


async def test_debug_output_has_steps_codes_metrics_and_masked_module():
    proxy = Proxy(url="http://user:hunter2@proxy:3128", username="u", password=SecretSource(env="PROXY_PASSWORD"))
    service = Service(config(target(), modules={"default": Module(name="default", proxy=proxy)}))
    service.answer = lambda name: bad(name, step=Step.GET_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, status=403, aadsts=None)
    async with serving(service) as session:
        _, headers, text = await get(session, "/probe?target=contoso-key0&debug=true")
        _, _, again = await get(session, "/probe?target=contoso-key0&debug=true")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    for expected in (
        "get_key         failed   200.0 ms\n",
        "wrap_key        skipped\n",
        "3077 (3113 on connector 1.0.5.0)",
        "forbidden_rbac",
        "HTTP status   403",
        "seen from a central host",
        "not tested",
        "ekm_probe_success{",
        "password_env: PROXY_PASSWORD",
        "http://<secret>@proxy:3128",
    ):
        assert expected in text
    assert "hunter2" not in text
    assert again.startswith("Cached report: this probe ended ")


async def test_head_request_is_refused_without_a_probe():
    service = Service()
    async with serving(service) as session, session.head("/probe?target=contoso-key0") as response:
        assert response.status == 405
    assert service.probed == []


async def test_running_probe_does_not_delay_the_stop():
    service = Service()
    service.go.clear()
    server = WebServer(create_app(service, web_options()), [ListenAddress("127.0.0.1", 0)])
    await server.start()
    async with ClientSession(server.urls[0]) as session:
        requests = asyncio.create_task(get(session, "/probe?target=contoso-key0"))
        await until(lambda: service.probed)
        before = asyncio.get_running_loop().time()
        await server.stop()
        assert asyncio.get_running_loop().time() - before < 20
        status, _, _ = await requests
    assert status == 503


async def test_unknown_name_in_a_large_fleet_is_refused_quickly():
    service = Service(config(*(target(f"contoso-key{number}") for number in range(201))))
    _, _, text = await answer(service, "/probe?target=contoso-keyx")
    assert text == "unknown target 'contoso-keyx'\n"


async def test_target_page_lists_its_modules():
    service = Service(config(target(modules=("other",)), target("b")))
    pages = [(await answer(service, f"/targets/{name}"))[2] for name in ("contoso-key0", "b")]
    assert ["other modules for /probe" in page for page in pages] == [True, False]


NO_LIMIT = Limit(seconds=None, remaining=None)
CUT = Limit(seconds=1.0, remaining=30.0)
CUT_SHORTER = Limit(seconds=0.1, remaining=30.0)


@pytest.mark.parametrize(
    ("header", "seconds", "remaining"),
    [
        (None, None, None), ("", None, None), ("garbage", None, None), ("nan", None, None), ("inf", None, None),
        ("-inf", None, None), ("-5", None, None), ("0", None, None), ("1e999", None, None), ("10", 9.5, 9.75),
        ("10.000000", 9.5, 9.75), ("11", None, 10.75), ("60", None, 59.75), ("1", 0.5, 0.75), ("0.5", 0.25, 0.375),
        ("0.2", 0.1, 0.15),
    ],
)  # fmt: skip
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
