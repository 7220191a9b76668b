"""The parts of the drill: simulator, exporter, Prometheus, Alertmanager and receivers that record their messages.

All durations of rules and of Alertmanager are divided by `SCALE`, so a probe runs every two seconds instead of every minute.
"""

import asyncio
import contextlib
import re
import shutil
import time
from dataclasses import dataclass

import aiohttp
import yaml

from alerts import build
from tests.integration.process.conftest import Running
from tests.system.alerts.alertmanager.rendering import Endpoints, write_config
from tests.system.alerts.alertmanager.server import Alertmanager, listening
from tests.system.prometheus.servers import Prometheus, answered, free_port, running

SCALE = 30
_TITLE = re.compile(r"Ekm\w+")
SCRAPE_MILLISECONDS = 1000  # 30 s, divided
_GROUP_WAIT = 30 / SCALE

_PROMETHEUS = """\
global: {{scrape_interval: {scrape}ms, scrape_timeout: {scrape}ms, evaluation_interval: {scrape}ms}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: ekm, static_configs: [{{targets: ["{exporter}"]}}]}}]
"""


@dataclass
class Drill:
    management: str
    exporter: str
    process: Running
    prometheus: Prometheus
    alertmanager: Alertmanager

    async def break_(self, **fault):
        """Cause a fault and return its time. A route is part of the exporter's configuration, so that is reloaded."""
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{self.management}/sim/fault", json=fault) as answer:
                assert answer.status == 200, await answer.text()
            began = time.monotonic()
            if fault["fault"] == "unresolvable":
                await self._reload(session)
        return began

    async def break_every_name(self, names):
        """Make the names of all vaults and of Entra ID unresolvable."""
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for place in (*({"vault": name} for name in names), {"authority": "login.microsoftonline.com"}):
                await session.post(f"{self.management}/sim/fault", json={**place, "fault": "unresolvable"})
            began = time.monotonic()
            await self._reload(session)
        return began

    async def heal(self):
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.delete(f"{self.management}/sim/fault")
            await self._reload(session)

    async def _reload(self, session):
        async with session.post(f"{self.exporter}/-/reload") as answer:
            assert answer.status == 200, await answer.text()

    def page_times(self, action="trigger"):
        """Return (time, alert) of each message to a pager; repeats count again."""
        pages = [each for each in self.alertmanager.received.arrived if _page(each, action)]
        return [(each.at, _TITLE.search(str(each.body.get("payload", {}).get("summary", "")))) for each in pages]

    def pages(self, action="trigger"):
        """Return the messages to PagerDuty."""
        return [each.body for each in self.alertmanager.received.arrived if _page(each, action)]

    async def page(self, alert, *, env=None, action="trigger", seconds=150):
        """Wait for the page of an alert (of one environment), and return it with its time."""
        found = await self.alertmanager.received.first(
            lambda each: _page(each, action) and _about(each.body, alert, env), seconds=seconds
        )
        return found.body, time.monotonic()

    async def settle(self):
        """Wait until Alertmanager has sent every alert that fires now."""
        await asyncio.sleep(_GROUP_WAIT + 2)
        await self.alertmanager.all_sent()


def _page(arrived, action):
    return isinstance(arrived.body, dict) and arrived.body.get("event_action") == action


def _about(body, alert, env):
    title = body["payload"]["summary"] if "payload" in body else ""
    return bool(re.search(rf"\b{alert}\b", title)) and (env is None or f"({env})" in title)


@contextlib.asynccontextmanager
async def start_drill(folder, command, configuration):
    """`command` starts a command of the exporter (see tests/integration/process)."""
    source = folder / "source.yml"
    source.write_text(yaml.safe_dump(configuration))
    ports = ("--sim.port", 0, "--sim.management-port", 0)
    simulator = await command("simulate", "--config.file", source, "--out", folder / "sim", *ports)
    management = (await simulator.output(r"management port: (http://\S+)"))[1]
    exporter = await command("run", "--config.file", folder / "sim" / "ekm.yml", "--web.listen-address", "127.0.0.1:0")
    url = (await exporter.output(r"url=(http://\S+?)/?\s"))[1]
    await answered(f"{url}/-/ready", lambda _: True, seconds=30)
    alertmanager = Alertmanager(f"http://127.0.0.1:{free_port()}")
    prometheus = Prometheus(f"http://127.0.0.1:{free_port()}")
    async with listening(alertmanager.received) as (http, smtp), contextlib.AsyncExitStack() as stack:
        place = folder / "alertmanager"
        place.mkdir()
        await stack.enter_async_context(_prometheus(folder, prometheus.url, alertmanager.url, url))
        # Prometheus needs five real seconds to find its scrape targets. These are minutes of the drill, and the rules would page.
        await prometheus.eventually("ekm_probe_success == 1", bool)
        await asyncio.to_thread((folder / "rules.yml").write_text, build.rules(SCALE))
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.post(f"{prometheus.url}/-/reload")
        await prometheus.eventually('ALERTS{alertname="EkmWatchdog"}', bool)
        await prometheus.eventually('ALERTS{severity="critical"}', lambda firing: not firing)
        await stack.enter_async_context(_alertmanager(place, alertmanager.url, Endpoints(http, smtp)))
        yield Drill(management, url, exporter, prometheus, alertmanager)


def _alertmanager(place, url, endpoints):
    return _started(
        place / "log",
        f"{url}/-/ready",
        "prometheus-alertmanager",
        f"--config.file={write_config(place, endpoints, divisor=SCALE)}",
        f"--storage.path={place}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    )


def _prometheus(folder, url, alertmanager, exporter):
    (folder / "rules.yml").write_text("groups: []\n")
    hosts = {"alertmanager": alertmanager, "exporter": exporter}
    bare = {name: one.removeprefix("http://") for name, one in hosts.items()}
    (folder / "prometheus.yml").write_text(_PROMETHEUS.format(scrape=SCRAPE_MILLISECONDS, **bare))
    return _started(
        folder / "prometheus.log",
        f"{url}/-/ready",
        shutil.which("prometheus") or "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-lifecycle",
        # the least that Prometheus allows: an alert that ends is sent again at once
        "--rules.alert.resend-delay=500ms",
    )


@contextlib.asynccontextmanager
async def _started(log, ready, *command):
    async with running(log, *command):
        try:
            await answered(ready, lambda _: True, seconds=30)
        except TimeoutError:
            raise AssertionError(await asyncio.to_thread(log.read_text)) from None
        yield
