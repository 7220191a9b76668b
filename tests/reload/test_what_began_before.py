"""Probes that are under way while another configuration comes into force: what they find is no longer anybody's."""

import asyncio
from dataclasses import replace

import pytest

from exporter.config.model import Config, Credential, CredentialKind, Module, Settings, Target
from exporter.core.model import Generation
from exporter.service import RunOptions, Service
from exporter.web import parse_address, web_options

TARGET = Target(
    name="a",
    vault="contoso.vault.azure.net",
    key_name="Key0",
    key_version="0" * 32,
    credential="c",
    module="default",
    interval=60.0,
    timeout=5.0,
    generation=Generation.CLASSIC,
    generation_declared=True,
)
CONFIG = Config(
    settings=Settings(concurrency=4),
    credentials={"c": Credential(name="c", kind=CredentialKind.CLIENT_SECRET)},
    modules={"default": Module(name="default", connect_to={"contoso.vault.azure.net:443": "127.0.0.1:1"})},
    targets={"a": TARGET, "b": replace(TARGET, name="b")},
)
WITHOUT = replace(CONFIG, targets={"b": CONFIG.targets["b"]})
OTHER = replace(CONFIG, targets={**CONFIG.targets, "a": replace(TARGET, key_version="1" * 32)})


async def scraped(service):
    return b"".join([piece async for piece in service.recorder.scrape(openmetrics=False)]).decode()


@pytest.fixture
async def service(tmp_path):
    made = Service(
        CONFIG,
        RunOptions(
            listen=(parse_address("127.0.0.1:0"),), web=web_options(), scheduler=False, state_dir=tmp_path, config_file=None
        ),
    )
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def held(service, monkeypatch):
    """Holds each requested probe until the event is set."""
    free, requested = asyncio.Event(), service._prober.requested

    async def hold(*arguments, **options):
        report = await requested(*arguments, **options)
        await free.wait()
        return report

    monkeypatch.setattr(service._prober, "requested", hold)
    return free


async def under_way(service):
    task = asyncio.create_task(service.probe("a", "default", timeout=None))
    await asyncio.sleep(0.1)
    return task


@pytest.mark.parametrize("after", [WITHOUT, OTHER])
async def test_a_probe_of_a_target_that_is_gone_or_another_one_now_is_kept_nowhere(service, held, after):
    task = await under_way(service)
    await service.apply(after)
    held.set()
    assert await task is not None
    record = service.record_of("a")
    assert record is None or record.last is None
    assert 'ekm_probes_total{target="a",vault="contoso.vault.azure.net"} 1' not in await scraped(service)


async def test_a_probe_of_a_target_that_stayed_as_it_was_counts(service, held):
    task = await under_way(service)
    await service.apply(replace(CONFIG, targets={"a": replace(TARGET)}))
    held.set()
    await task
    assert service.record_of("a").last is not None
    assert 'ekm_probes_total{target="a",vault="contoso.vault.azure.net"} 1' in await scraped(service)


async def test_a_target_that_went_while_its_probe_waited_for_its_turn_is_not_probed(service, held):
    waiting = [asyncio.create_task(service.probe(name, "default", timeout=None)) for name in ("b", "b", "b", "b", "a")]
    await asyncio.sleep(0.1)
    await service.apply(WITHOUT)
    held.set()
    assert (await asyncio.gather(*waiting))[-1] is None


@pytest.mark.parametrize("after", [WITHOUT, OTHER])
async def test_a_loop_that_has_not_heard_of_the_reload_yet_makes_no_probe(service, after):
    await service.apply(after)
    assert await service._prober.scheduled(TARGET) is None
    assert "ekm_exporter_internal_errors_total 0.0" in await scraped(service)


async def test_a_module_that_was_renamed_under_the_loops_costs_no_probe_of_the_others(service):
    modules = {"new": replace(CONFIG.modules["default"], name="new")}
    targets = {name: replace(target, module="new") for name, target in CONFIG.targets.items()}
    await service.apply(replace(CONFIG, modules=modules, targets=targets))
    assert await service._prober.scheduled(TARGET) is None
    assert await service._prober.scheduled(targets["b"]) is not None


async def test_a_credential_that_nobody_knows_yet_has_no_end(service):
    assert service.credential_ends("comes later") == ()
