"""Reloads: many signals, a secret that is created later, shards, and the effect on probes and verdicts."""

import asyncio
import gc
import threading
import time
import weakref
from collections import Counter
from functools import cache

import pytest
import yaml

from exporter.app import reload
from exporter.app.reload import Reloader, Shard, parse_shard
from exporter.config import load as load_module
from exporter.config.load import load_config
from exporter.config.settings import Module, Settings
from exporter.presentation.payloads import entry_payload
from exporter.runtime import process
from exporter.state.history import ProbeContext
from tests.support.factories import a_config, a_credential, a_report, a_target
from tests.support.running import a_service
from tests.support.values import replace
from tests.support.web_server import until

# Reloads: many signals, a secret that is created later, internal errors.

PATIENCE = 30.0


class Applied(list):
    async def __call__(self, config):
        self.append(config)


class Scene:
    def __init__(self, folder):
        self.secret, self.file = folder / "secret", folder / "ekm.yml"
        self.put(self.secret)
        self.write("first")
        self.applied, self.attempts = Applied(), []
        running = load_config(self.file).config
        self.reloader = Reloader(self.file, self.applied, running=running, on_reload=self.on_reload)

    def on_reload(self, *, successful, at):
        assert at > 0
        self.attempts.append(successful)

    def write(self, name, file="secret"):
        credential = {"type": "client_secret", "client_id": "66666666-7777-8888-9999-000000000000", "client_secret_file": file}
        target = {"name": name, "vault": "contoso", "key": "K/" + "0" * 32, "credential": "c"}
        self.file.write_text(yaml.safe_dump({"credentials": {"c": credential}, "targets": [target]}))

    def put(self, path):
        path.write_text("x" * 30)
        path.chmod(0o600)

    async def until(self, attempts):
        await until(lambda: self.attempts == attempts)


@pytest.fixture
async def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(reload, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(reload, "TRY_AGAIN_SECONDS", 0.05)
    made = Scene(tmp_path)
    yield made
    await made.reloader.aclose()


@pytest.fixture
def free(monkeypatch):
    """Each load waits until this event is set."""
    event, load = threading.Event(), load_module.load_config

    def slow(path):
        assert event.wait(PATIENCE)
        return load(path)

    monkeypatch.setattr(reload, "load_config", slow)
    return event


async def test_signals_during_a_reload_cause_one_reload(scene, free):
    scene.reloader.reload_soon()
    await asyncio.sleep(0.05)
    for _ in range(300):
        scene.reloader.reload_soon()
    free.set()
    await scene.until([True, True])
    await asyncio.sleep(0.1)
    assert scene.attempts == [True, True]
    scene.reloader.reload_soon()
    await scene.until([True, True, True])


async def test_waiting_requests_share_one_reload(scene, free):
    first = asyncio.create_task(scene.reloader.reload())
    await until(scene.reloader._one_at_a_time.locked)
    scene.write("second", file="missing")
    others = [asyncio.create_task(scene.reloader.reload()) for _ in range(500)]
    impatient = others.pop()
    await asyncio.sleep(0)
    impatient.cancel()
    free.set()
    answers = await asyncio.gather(first, *others)
    assert len(scene.attempts) == 2
    assert {tuple(answer) for answer in answers[1:]} == {tuple(answers[-1])}
    assert "no such file" in answers[-1][0]


async def test_included_files_at_the_start_cause_no_reload(scene):
    """The files of a configuration are known only after it was loaded."""
    (scene.file.parent / "more").mkdir()
    written = yaml.safe_load(scene.file.read_text())
    (scene.file.parent / "more" / "a.yml").write_text(yaml.safe_dump({"targets": written.pop("targets")}))
    scene.file.write_text(yaml.safe_dump({**written, "include": ["more/*.yml"]}))
    scene.reloader._running = load_config(scene.file).config
    scene.reloader.watch()
    await until(lambda: scene.reloader._last_content is not None)
    await asyncio.sleep(0.2)  # ten checks
    assert scene.attempts == []


async def test_change_before_the_watch_is_applied(scene):
    scene.write("second")
    scene.reloader.watch()
    await scene.until([True])
    assert list(scene.applied[-1].targets) == ["second"]


async def test_missing_secret_is_retried_until_it_exists(scene, caplog):
    scene.reloader.watch()
    await until(lambda: scene.reloader._last_content is not None)
    scene.write("second", file="later")
    await scene.until([False])
    await asyncio.sleep(0.3)  # several attempts, one log line
    assert scene.attempts == [False]
    assert len([record for record in caplog.records if record.message == "configuration not reloaded"]) == 1
    scene.put(scene.file.parent / "later")
    await scene.until([False, True])
    assert list(scene.applied[-1].targets) == ["second"]


@pytest.mark.parametrize("at_first", [True, False])
async def test_internal_error_does_not_end_the_watch(scene, monkeypatch, caplog, at_first):
    load = load_module.load_config
    if not at_first:
        scene.reloader.watch()
        await until(lambda: scene.reloader._last_content is not None)

    def faulty(_path):
        raise RuntimeError("a mistake")

    monkeypatch.setattr(reload, "load_config", faulty)
    if at_first:
        scene.reloader.watch()
    else:
        scene.write("second")
    message = "cannot read configuration" if at_first else "configuration not reloaded"
    await until(lambda: any(record.message == message for record in caplog.records))
    monkeypatch.setattr(reload, "load_config", load)
    if at_first:
        await until(lambda: scene.reloader._last_content is not None)
        scene.write("second")
    await until(lambda: scene.attempts[-1:] == [True])
    assert list(scene.applied[-1].targets) == ["second"]


async def test_failed_apply_is_logged_and_retried(scene, monkeypatch, caplog):
    errors, apply = [MemoryError(), MemoryError()], scene.reloader._apply

    async def fail_at_first(config):
        if errors:
            raise errors.pop()
        await apply(config)

    monkeypatch.setattr(scene.reloader, "_apply", fail_at_first)
    scene.reloader.reload_soon()
    await scene.until([False])
    assert [record.message for record in caplog.records] == ["configuration not reloaded"]
    assert await scene.reloader.reload() == ["internal error: MemoryError (see the log)"]
    scene.reloader.watch()
    await scene.until([False, False, True])


# The effect of a reload on running probes and on verdicts.

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


# The targets of each shard.

NAMES = [f"vault-{number}" for number in range(3000)]


@cache
def owners(count):
    held = [(name, index) for index in range(count) for name in NAMES if Shard(index, count).holds(name)]
    assert len(held) == len(NAMES), "each target is held by exactly one shard"
    return dict(held)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_each_target_has_one_shard_and_shards_are_even(count):
    assert sorted(owners(count)) == sorted(NAMES)
    sizes = Counter(owners(count).values())
    assert min(sizes.values()) > 0.85 * len(NAMES) / count
    assert max(sizes.values()) < 1.15 * len(NAMES) / count


@pytest.mark.parametrize("count", [1, 2, 4])
def test_new_shard_moves_only_its_share(count):
    before, after = owners(count), owners(count + 1)
    moved = {name for name in NAMES if before[name] != after[name]}
    assert len(moved) == pytest.approx(len(NAMES) / (count + 1), rel=0.12)
    assert {after[name] for name in moved} == {count}


def test_assignment_never_changes():
    assert [owners(5)[f"vault-{number}"] for number in range(12)] == [1, 2, 2, 0, 0, 0, 3, 4, 0, 2, 0, 4]


def test_shard_is_index_and_count():
    assert parse_shard("2/3") == Shard(2, 3)
    assert str(Shard(0, 1)) == "0/1"


def test_port_offsets_of_all_shards_begin_at_shard_0():
    assert [list(Shard(index, 3).offsets) for index in range(3)] == [[0, 1, 2], [-1, 0, 1], [-2, -1, 0]]


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "0/0", "1/2/3", "a/b", "0/1001", " 0/1", "0/1\n", "\u0661/\u0663"])
def test_malformed_shard_is_refused_with_its_text(text):
    with pytest.raises(ValueError, match=r"0/3|between 1|counted from 0") as caught:
        parse_shard(text)
    assert repr(text) in str(caught.value)
