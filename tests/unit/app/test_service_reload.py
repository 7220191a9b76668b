"""The effect of a reload on running probes and on verdicts."""

import asyncio
import gc
import time
import weakref
from dataclasses import replace

import pytest

from exporter.app.reload import Shard
from exporter.config.settings import Module, Settings
from exporter.presentation.payloads import entry_payload
from exporter.runtime import process
from exporter.state.history import ProbeContext
from tests.support.factories import a_config, a_credential, a_report, a_target
from tests.support.running import a_service

TARGET = a_target("a", timeout=5.0)
CONFIG = a_config(
    TARGET,
    replace(TARGET, name="b"),
    credentials=(a_credential(),),
    modules=(Module(name="default", connect_to={"contoso.vault.azure.net:443": "127.0.0.1:1"}),),
    settings=Settings(concurrency=4),
)
WITHOUT = replace(CONFIG, targets={"b": CONFIG.targets["b"]})
OTHER = replace(CONFIG, targets={**CONFIG.targets, "a": replace(TARGET, key_version="1" * 32)})


async def scraped(service):
    return b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()


@pytest.fixture
async def service(tmp_path):
    made = a_service(CONFIG, scheduler=False, state_dir=tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def held(service, monkeypatch):
    """Hold each probe on demand until the event is set."""
    free, requested = asyncio.Event(), service._prober.probe_on_demand

    async def hold(*arguments, **options):
        report = await requested(*arguments, **options)
        await free.wait()
        return report

    monkeypatch.setattr(service._prober, "probe_on_demand", hold)
    return free


async def under_way(service):
    task = asyncio.create_task(service.probe("a", "default", timeout=None))
    await asyncio.sleep(0.1)
    return task


async def test_start_and_reload_collect_garbage_once_each(tmp_path, monkeypatch):
    collected = []
    monkeypatch.setattr(process, "collect_rarely", lambda: collected.append(len(made.config.targets)))
    made = a_service(CONFIG, scheduler=False, state_dir=tmp_path)
    await made.start()
    await made.apply(WITHOUT)
    await made.stop()
    assert collected == [2, 1]


@pytest.mark.parametrize("after", [WITHOUT, OTHER])
async def test_report_of_a_removed_or_changed_target_is_dropped(service, held, after):
    task = await under_way(service)
    await service.apply(after)
    held.set()
    assert await task is not None
    record = service.record_of("a")
    assert record is None or record.last is None
    assert 'ekm_probes_total{target="a",vault="contoso.vault.azure.net"} 1' not in await scraped(service)


async def test_report_of_an_unchanged_target_counts(service, held):
    task = await under_way(service)
    await service.apply(replace(CONFIG, targets={"a": replace(TARGET)}))
    held.set()
    await task
    assert service.record_of("a").last is not None
    assert 'ekm_probes_total{target="a",vault="contoso.vault.azure.net"} 1' in await scraped(service)


async def test_common_causes_follow_requested_probes_and_reloads(service):
    cause = 'ekm_common_cause_targets{link="vault",name="contoso.vault.azure.net",reason="connect_refused"}'
    assert "ekm_common_cause" not in await scraped(service)
    for name in CONFIG.targets:
        await service.probe(name, "default", timeout=None)
    assert f"{cause} 2.0" in await scraped(service)
    await service.apply(WITHOUT)
    assert f"{cause} 1.0" in await scraped(service)
    await service.apply(replace(CONFIG, targets={"c": replace(TARGET, name="c")}))
    assert "ekm_common_cause" not in await scraped(service)


async def test_removed_target_in_the_queue_is_not_probed(service, held):
    waiting = [asyncio.create_task(service.probe(name, "default", timeout=None)) for name in ("b", "b", "b", "b", "a")]
    await asyncio.sleep(0.1)
    await service.apply(WITHOUT)
    held.set()
    assert (await asyncio.gather(*waiting))[-1] is None


@pytest.mark.parametrize("after", [WITHOUT, OTHER])
async def test_loop_of_the_old_configuration_makes_no_probe(service, after):
    await service.apply(after)
    assert await service._prober.probe_scheduled(TARGET) is None
    assert "ekm_exporter_internal_errors_total 0.0" in await scraped(service)


async def test_renamed_module_stops_no_probe(service):
    modules = {"new": replace(CONFIG.modules["default"], name="new")}
    targets = {name: replace(target, module="new") for name, target in CONFIG.targets.items()}
    await service.apply(replace(CONFIG, modules=modules, targets=targets))
    assert await service._prober.probe_scheduled(TARGET) is None
    assert await service._prober.probe_scheduled(targets["b"]) is not None


async def test_history_entry_keeps_the_context_of_its_probe(service):
    await service.probe("a", "default", timeout=None)
    other = replace(CONFIG.credentials["sql"], client_id="66666666-7777-8888-9999-000000000000")
    await service.apply(replace(OTHER, credentials={"sql": other}))
    await service.probe("a", "default", timeout=None)
    after, before = service.record_of("a").history
    assert before.context == ProbeContext(TARGET, CONFIG.modules["default"], CONFIG.credentials["sql"])
    assert after.context == ProbeContext(OTHER.targets["a"], OTHER.modules["default"], other)
    assert [entry_payload(OTHER.targets["a"], one)["key_version"] for one in (before, after)] == ["0" * 32, "1" * 32]


async def test_equal_reloads_share_one_probe_context(service):
    for _ in range(2):
        await service.probe("a", "default", timeout=None)
        await service.apply(replace(CONFIG, targets={name: replace(one) for name, one in CONFIG.targets.items()}))
    after, before = service.record_of("a").history
    assert after.context is before.context


async def test_old_configuration_is_released_by_the_next_reload(service, monkeypatch):
    monkeypatch.setattr(process, "collect_rarely", gc.collect)

    def another():
        return replace(CONFIG, modules={"default": replace(CONFIG.modules["default"])})

    first = another()
    gone = weakref.ref(first.modules["default"])
    await service.apply(first)
    del first
    assert gone() is not None
    await service.apply(another())
    assert gone() is None


async def test_configuration_of_the_start_is_released_by_the_first_reload(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "collect_rarely", gc.collect)
    first = replace(CONFIG, modules={**CONFIG.modules, "unused": Module(name="unused")})
    gone = weakref.ref(first.modules["unused"])
    made = a_service(first, scheduler=False, state_dir=tmp_path, shard=Shard(0, 2))
    del first
    await made.start()
    try:
        assert gone() is not None
        await made.apply(CONFIG)
        assert gone() is None
    finally:
        await made.stop()


async def test_unknown_credential_has_no_expiry(service):
    assert service.credential_expiries("comes later") == ()


ROTATED = replace(CONFIG, credentials={"sql": replace(CONFIG.credentials["sql"], client_id="another application")})
ELSEWHERE = replace(CONFIG, modules={"default": replace(CONFIG.modules["default"], connect_to={})})
LISTED = replace(
    CONFIG,
    modules={**CONFIG.modules, "lab": Module(name="lab")},
    targets={**CONFIG.targets, "a": replace(TARGET, modules=("lab",))},
)
LABELLED = replace(CONFIG, targets={**CONFIG.targets, "a": replace(TARGET, labels={"team": "dba"})})


@pytest.mark.parametrize(
    ("after", "ready"),
    [(ROTATED, None), (ELSEWHERE, None), (OTHER, None), (LABELLED, True), (LISTED, True), (replace(CONFIG), True)],
)
async def test_reload_drops_verdicts_of_changed_subjects_only(service, monkeypatch, after, ready):
    async def fine(*_arguments, **_options):
        return a_report("a", at=time.time())

    monkeypatch.setattr(service._prober, "probe_on_demand", fine)
    await service.probe("a", "default", timeout=None)
    assert service.record_of("a").verdict.ready is True
    await service.apply(after)
    record = service.record_of("a")
    assert (record.last.readiness.ready, record.last.success) == (ready, True)
    assert (record.verdict is not None) is (ready is True)


async def test_reload_changes_the_modules_of_a_target(service):
    lab = replace(LISTED, targets=CONFIG.targets)
    for after, allowed in ((lab, False), (LISTED, True), (lab, False)):
        await service.apply(after)
        assert (await service.probe("a", "lab", timeout=None) is not None) is allowed


async def test_removed_module_in_the_queue_is_not_used(service, held):
    await service.apply(LISTED)
    waiting = [asyncio.create_task(service.probe("b", "default", timeout=None)) for _ in range(LISTED.settings.concurrency)]
    waiting.append(asyncio.create_task(service.probe("a", "lab", timeout=None)))
    await asyncio.sleep(0.1)
    await service.apply(replace(LISTED, targets=CONFIG.targets))
    held.set()
    assert (await asyncio.gather(*waiting))[-1] is None
