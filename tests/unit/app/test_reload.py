"""Reloads: many signals, a secret that is created later, internal errors."""

import asyncio
import threading

import pytest
import yaml

from exporter.app import reload
from exporter.app.reload import Reloader
from exporter.config import load as load_module
from exporter.config.load import load_config
from tests.support.web_server import until

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
