"""`/probe` as Prometheus and operators use it."""

import asyncio
import re
import time
from dataclasses import replace

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from exporter.config.settings import Module, Proxy, SecretSource, Settings
from exporter.core.values import Step
from exporter.knowledge.reasons import Reason
from exporter.web.app import create_app
from exporter.web.listener import ListenAddress, WebServer
from exporter.web.options import web_options
from tests.support.factories import DISCARDED
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
    assert re.search(r"^result +discarded$", text, re.MULTILINE)
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
