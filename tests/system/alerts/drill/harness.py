"""The parts of the drill: simulators, exporters, Prometheus, Alertmanager and receivers that record their messages.

All durations of rules and of Alertmanager are divided by `SCALE`, so a probe runs every five seconds instead of every minute. Each host
is an exporter with a simulator of its own, which runs in this process. One Prometheus scrapes all of them.
"""

import asyncio
import contextlib
import shutil
from dataclasses import dataclass

import aiohttp
import yaml

from alerts import build
from exporter.config.load import load_config
from exporter.simulator.build import build_environment, write_config
from exporter.simulator.simulator import Simulator
from tests.integration.process.conftest import Running
from tests.support.patience import PATIENCE
from tests.system.alerts.alertmanager import rendering
from tests.system.alerts.alertmanager.server import Alertmanager, listening
from tests.system.alerts.drill.incidents import configuration
from tests.system.prometheus.servers import Prometheus, answered, free_port, started

SCALE = 12  # a busy machine delays a probe by seconds, which are minutes of the drill at a higher one
SCRAPE_MILLISECONDS = 30_000 // SCALE
INTERVAL = 60 / SCALE
# Prometheus and Alertmanager use little memory here: they need not collect it often, and one processor is enough.
_GO = {"GOGC": "400", "GOMAXPROCS": "1"}

_PROMETHEUS = """\
global: {{scrape_interval: {scrape}ms, scrape_timeout: {scrape}ms, evaluation_interval: {scrape}ms}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{alertmanager}"]}}]}}]}}
scrape_configs: [{{job_name: ekm, static_configs: [{{targets: {exporters}}}]}}]
"""


@dataclass
class Host:
    """An exporter and its simulator."""

    name: str
    management: str
    config: str
    url: str
    process: Running

    async def set_fault(self, **fault):
        """Cause a fault and return its numbers."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.management}/sim/fault", json=fault) as answer:
            document = await answer.json(content_type=None)
            assert answer.status == 200, document
        return [one["number"] for one in document["set"]]

    async def clear(self, numbers):
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            for number in numbers:
                await session.delete(f"{self.management}/sim/fault", params={"number": str(number)})

    async def reload(self):
        """A route is part of the exporter's configuration."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/-/reload") as answer:
            assert answer.status == 200, await answer.text()


@dataclass
class Drill:
    command: object
    hosts: dict[str, Host]
    prometheus: Prometheus
    alertmanager: Alertmanager

    async def restart(self, host):
        """Start the exporter of a host again, on the same port."""
        address = host.url.removeprefix("http://")
        host.process = await self.command("run", "--config.file", host.config, "--web.listen-address", address)
        await host.process.output(r"url=http", within=PATIENCE)


async def _start_host(stack, folder, command, name, incidents):
    place = folder / name
    place.mkdir()
    source = place / "source.yml"
    source.write_text(yaml.safe_dump(configuration(place, incidents, INTERVAL)))
    settings = load_config(source).config
    simulator = await stack.enter_async_context(Simulator(build_environment(settings)))
    simulator.on_routes_changed = lambda: write_config(simulator, settings, place / "sim")
    config = write_config(simulator, settings, place / "sim")
    process = await command("run", "--config.file", config, "--web.listen-address", "127.0.0.1:0")
    url = (await process.output(r"url=(http://\S+?)/?\s", within=PATIENCE))[1]
    await answered(f"{url}/-/ready", lambda _: True, seconds=PATIENCE)
    return Host(name, simulator.management_url, str(config), url, process)


@contextlib.asynccontextmanager
async def start_drill(folder, command, incidents):
    """`command` starts a command of the exporter (see tests/integration/process)."""
    names = dict.fromkeys(one.host for one in incidents)
    alertmanager = Alertmanager(f"http://127.0.0.1:{free_port()}")
    prometheus = Prometheus(f"http://127.0.0.1:{free_port()}")
    async with listening(alertmanager.received) as (http, smtp), contextlib.AsyncExitStack() as stack:
        made = await asyncio.gather(
            *(_start_host(stack, folder, command, name, [one for one in incidents if one.host == name]) for name in names)
        )
        hosts = {host.name: host for host in made}
        place = folder / "alertmanager"
        place.mkdir()
        await stack.enter_async_context(_prometheus(folder, prometheus.url, alertmanager.url, hosts))
        # Prometheus needs five real seconds to find its scrape targets. These are minutes of the drill, and the rules would page.
        await prometheus.eventually("count(up == 1)", lambda found: bool(found) and found[0]["value"][1] == str(len(hosts)))
        await asyncio.to_thread((folder / "rules.yml").write_text, build.rules(SCALE))
        async with aiohttp.ClientSession(raise_for_status=True) as session:
            await session.post(f"{prometheus.url}/-/reload")
        await prometheus.eventually('ALERTS{alertname="EkmWatchdog"}', bool)
        await prometheus.eventually('ALERTS{severity="critical"}', lambda firing: not firing)
        await stack.enter_async_context(_alertmanager(place, alertmanager.url, rendering.Endpoints(http, smtp)))
        yield Drill(command, hosts, prometheus, alertmanager)


def _alertmanager(place, url, endpoints):
    return started(
        place / "log",
        f"{url}/-/ready",
        "prometheus-alertmanager",
        f"--config.file={rendering.write_config(place, endpoints, divisor=SCALE)}",
        f"--storage.path={place}/data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
        environment=_GO,
    )


def _prometheus(folder, url, alertmanager, hosts):
    (folder / "rules.yml").write_text("groups: []\n")
    exporters = [host.url.removeprefix("http://") for host in hosts.values()]
    (folder / "prometheus.yml").write_text(
        _PROMETHEUS.format(scrape=SCRAPE_MILLISECONDS, alertmanager=alertmanager.removeprefix("http://"), exporters=exporters)
    )
    return started(
        folder / "prometheus.log",
        f"{url}/-/ready",
        shutil.which("prometheus") or "prometheus",
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.enable-lifecycle",
        # the least that Prometheus allows: an alert that ends is sent again at once
        "--rules.alert.resend-delay=500ms",
        environment=_GO,
    )
