"""Reload of a running exporter: by POST, by SIGHUP, and by a changed file."""

import asyncio
import signal

import aiohttp
import pytest
import yaml

from tests.support.patience import PATIENCE

SUCCESSFUL = "ekm_exporter_config_last_reload_successful"


class Harness:
    """A running exporter. `change` edits its configuration; `values` reads its metrics."""

    def __init__(self, exporter, get, samples, simulator):
        self._exporter, self._get, self._samples, self.config = exporter, get, samples, simulator.config

    async def start(self, *flags):
        self.running, self.url = await self._exporter(*flags)
        return self

    def change(self, edit):
        written = yaml.safe_load(self.config.read_text())
        edit(written)
        self.config.write_text(yaml.safe_dump(written))

    async def post(self, status=200, **headers):
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/-/reload", headers=headers) as answer:
            text = await answer.text()
        assert answer.status == status, text
        return text

    async def values(self, name, **labels):
        _, text = await self._get(f"{self.url}/metrics")
        return self._samples(text, name, **labels)

    async def until(self, expected, name, **labels):
        """Wait until the values of these series are as expected: equal, or as a function wants them."""
        good = expected if callable(expected) else lambda found: found == expected
        async with asyncio.timeout(PATIENCE):
            while not good(await self.values(name, **labels)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)


@pytest.fixture
def harness(exporter, get, samples, simulator):
    return Harness(exporter, get, samples, simulator)


def without(name):
    def edit(written):
        written["targets"] = [target for target in written["targets"] if target["name"] != name]

    return edit


def renamed(old, new):
    def edit(written):
        for target in written["targets"]:
            if target["name"] == old:
                target["name"] = new

    return edit


def broken(written):
    written["targets"][0]["intervall"] = "1s"
    del written["targets"][0]["key"]


async def test_reload_replaces_only_what_changed(harness):
    """The target `typed` has an interval of one hour. A restarted loop would probe at once."""
    await harness.start()
    planned = await harness.values("ekm_next_probe_timestamp_seconds", target="typed")
    probed = await harness.values("ekm_probes_total", target="typed")
    (others,) = await harness.values("ekm_probes_total", target="fine")
    harness.change(renamed("broken", "fresh"))
    assert await harness.post() == "Configuration reloaded\n"
    await harness._get(f"{harness.url}/-/ready")
    assert await harness.values("ekm_probes_total", target="broken") == []
    assert (await harness.values("ekm_probes_total", target="fine"))[0] >= others
    assert await harness.values("ekm_exporter_targets") == [3]
    await harness.until([1], "ekm_probe_success", target="fresh")
    assert await harness.values(SUCCESSFUL) == [1]
    await harness.until(lambda found: found[0] > others, "ekm_probes_total", target="fine")
    assert await harness.values("ekm_probes_total", target="typed") == probed
    assert await harness.values("ekm_next_probe_timestamp_seconds", target="typed") == planned


async def test_refused_reload_changes_nothing(harness, tmp_path):
    await harness.start()
    good = harness.config.read_text()
    await refuse_every_problem(harness)
    harness.config.write_text(good)
    await harness.post()
    assert await harness.values(SUCCESSFUL) == [1]
    await refuse_an_unreadable_authority(harness, tmp_path / "empty.pem")
    harness.config.write_text(good)
    await refuse_a_page_of_another_site(harness)


async def refuse_every_problem(harness):
    harness.change(broken)
    text = await harness.post(400)
    assert "intervall" in text
    assert "key" in text
    assert len(text.splitlines()) == 2
    assert await harness.values(SUCCESSFUL) == [0]
    assert await harness.values("ekm_exporter_targets") == [3]


async def refuse_an_unreadable_authority(harness, empty):
    empty.write_text("")

    def edit(written):
        written["modules"]["default"]["tls"]["ca_file"] = str(empty)
        written["targets"] = written["targets"][:1]

    harness.change(edit)
    await harness.post(400)
    assert await harness.values("ekm_exporter_targets") == [3]


async def refuse_a_page_of_another_site(harness):
    harness.change(without("broken"))
    await harness.post(403, Origin="https://evil.example")
    await harness.post(403, **{"Sec-Fetch-Site": "cross-site"})
    assert await harness.values("ekm_exporter_targets") == [3]


async def test_changed_target_applies_after_sighup(harness):
    await harness.start()

    def edit(written):
        written["modules"]["careful"] = {**written["modules"]["default"], "mode": "read_only"}
        for target in written["targets"]:
            if target["name"] == "typed":
                target.update(interval="1s", timeout="400ms", module="careful")

        written["targets"] = written["targets"][:2]

    harness.change(edit)
    harness.running.process.send_signal(signal.SIGHUP)
    await harness.until([2], "ekm_exporter_targets")
    assert harness.running.process.returncode is None
    await harness.until([1], "ekm_target_info", target="typed", mode="read_only", module="careful")
    await harness.until([1], "ekm_probe_interval_seconds", target="typed")
    await harness.until(lambda found: found[0] > 2, "ekm_probes_total", target="typed")
    assert await harness.values("ekm_step_success", target="typed", step="wrap_key") == []


async def test_swapped_link_of_a_volume_causes_a_reload(harness):
    """Replace the link as a Kubernetes volume does for a new ConfigMap."""
    folder, real = harness.config.parent, harness.config.read_text()
    for name, text in (("..one", real), ("..two", yaml.safe_dump(_edited(real, without("broken"))))):
        (folder / name).mkdir()
        (folder / name / "ekm.yml").write_text(text)
    (folder / "..data").symlink_to("..one")
    harness.config.unlink()
    harness.config.symlink_to("..data/ekm.yml")
    await harness.start("--config.enable-auto-reload")
    (folder / "..new").symlink_to("..two")
    (folder / "..new").replace(folder / "..data")
    await harness.until([2], "ekm_exporter_targets")


def _edited(text, edit):
    written = yaml.safe_load(text)
    edit(written)
    return written
