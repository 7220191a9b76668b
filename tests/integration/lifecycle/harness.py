"""One exporter with a state directory, its simulator, and scrapes after a number of probes."""

import asyncio
import signal
import time
from datetime import date

from prometheus_client.parser import text_string_to_metric_families

from exporter.config.schema import dump_yaml
from exporter.config.settings import Module, Settings
from exporter.core.values import Vantage
from exporter.metrics.families import METRICS
from exporter.metrics.spec import Retention
from exporter.simulator.environment import Environment, Key, SimulatedKeyVersion, Tenant, Vault
from exporter.simulator.simulator import Simulator
from tests.integration.lifecycle.credential_kinds import NOW, STAGED, TENANT
from tests.integration.process.conftest import fetch
from tests.support.factories import a_config, a_target
from tests.support.patience import PATIENCE
from tests.support.values import replace

VAULT, RECOVERY = "contoso.vault.azure.net", "contoso-dr.vault.azure.net"
VERSION = "0123456789abcdef0123456789abcdef"
PERMISSIONS = frozenset({"get", "wrapKey", "unwrapKey"})
INTERVAL = 4.0  # seconds; half of it is the longest timeout: on a loaded machine a certificate is read in a second
# Must survive a restart; a clock skew need not.
KEPT = {spec.name for spec in METRICS if spec.retention is Retention.LAST_KNOWN} - {"ekm_clock_skew_seconds"}


def environment(kind):
    def vault(host):
        key = Key(name="Key0", versions=(SimulatedKeyVersion(version=VERSION),))
        return Vault(host=host, tenant_id=TENANT, keys={"key0": key}, permissions=dict.fromkeys((NOW, STAGED), PERMISSIONS))

    return Environment(
        tenants={TENANT: Tenant(tenant_id=TENANT, applications=kind.applications())},
        vaults={host: vault(host) for host in (VAULT, RECOVERY)},
        host_identity=NOW,
    )


def simulated_module(simulator, folder, **changes):
    """Return a module whose requests arrive at the simulator."""
    (folder / "ca.pem").write_bytes(simulator.ca_pem)
    return Module(name="default", ca_file=folder / "ca.pem", connect_to=simulator.connect_to, **changes)


class Harness:
    def __init__(self, kind, command, folder):
        self.kind, self._command, self._folder = kind, command, folder
        self.simulator = Simulator(environment(kind))
        self.running, self._url = None, ""

    async def close(self):
        await self.simulator.stop()

    async def start(self, **changes):
        """Start the exporter with these changes of its target, and wait until it listens."""
        config = self._folder / "ekm.yml"
        config.write_text(dump_yaml(self._configuration(**changes)))
        flags = ("--state.dir", self._folder / "state", "--web.listen-address", "127.0.0.1:0")
        self.running = await self._command("run", "--config.file", config, *flags, **self.kind.environment(self.simulator))
        self._url = (await self.running.output(r"url=(http://\S+)"))[1]
        self._changes = changes

    async def kill(self):
        """Kill the exporter, as a power failure does."""
        self.running.process.send_signal(signal.SIGKILL)
        await self.running.end()

    async def survive(self, *, retired="", **changes):
        """Kill and restart the exporter while no vault answers, and compare its last known facts. Then let vaults answer.

        A `retired` credential is not compared.
        """
        await self._written()
        before = self._kept(await self.metrics())
        await self.kill()
        silence = [
            self.simulator.set_fault("silent", vault=VAULT),
            self.simulator.set_fault("silent", vault=RECOVERY),
        ]
        await self.start(**(changes or self._changes))
        after = self._kept(await self.metrics())
        for one in silence:
            self.simulator.clear(number=one.number)
        wanted = {key: value for key, value in before.items() if ("credential", retired) not in key}
        assert {key: after.get(key) for key in wanted} == wanted
        return wanted

    async def metrics(self):
        """{(name, label, …): value}; labels as (name, value), sorted."""
        _, text = await fetch(f"{self._url}/metrics")
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def next_probe(self):
        """The scrape after a probe that begins after this call. A probe that the machine delayed counts, too."""
        since = time.time()
        return await self._when(lambda scrape: scrape.began >= since)

    async def shows(self, failure, *, ready):
        """The first scrape with this last failure and readiness, of a probe that begins after this call.

        A loaded machine can make a probe time out, so the first one is not always the expected one.
        """
        since = time.time()
        return await self._when(lambda scrape: scrape.began >= since and (scrape.failure(), scrape.ready) == (failure, ready))

    async def until(self, name, value, **labels):
        """The first scrape with this value, for auxiliary probes, which follow probes."""
        return await self._when(lambda scrape: scrape.value(name, **labels) == value)

    async def _when(self, good):
        async with asyncio.timeout(PATIENCE):
            while True:
                if good(scrape := Scrape(await self.metrics())):
                    return scrape
                await asyncio.sleep(0.25)  # parsing a scrape delays the simulator, which runs in this process

    async def _written(self):
        """Wait until the state is written: the writer runs after the probes, so one more probe must end first."""
        await self.next_probe()
        before = self._last_written()
        async with asyncio.timeout(PATIENCE):
            while True:
                if self._last_written() > before:
                    return
                await asyncio.sleep(0.02)

    def _last_written(self):
        return max(path.stat().st_mtime_ns for path in (self._folder / "state").glob("target-*.json"))

    @staticmethod
    def _kept(metrics):
        return {key: value for key, value in metrics.items() if key[0] in KEPT and key[0] not in MOVING}

    def _configuration(self, **changes):
        target = a_target(
            "t",
            vault=VAULT,
            key_name="Key0",
            key_version=VERSION,
            credential="now",
            interval=INTERVAL,
            timeout=INTERVAL / 2,
            recovery_vault=RECOVERY,
            recovery_credential="now",
        )
        module = simulated_module(self.simulator, self._folder, auxiliary_interval=0.0)
        ends = {} if self.kind.kind == "managed_identity" else {"expires_on": date(2099, 1, 1)}
        credentials = [replace(self.kind.credential(name, client), **ends) for name, client in (("now", NOW), ("staged", STAGED))]
        settings = Settings(interval=INTERVAL, timeout=INTERVAL / 2, vantage=Vantage.SQL_HOST)
        return a_config(replace(target, **changes), credentials=credentials, modules=(module,), settings=settings)


# These change with each good probe or lookup, so tests compare them one by one. A certificate file is read at the start.
MOVING = {
    "ekm_last_success_timestamp_seconds",
    "ekm_recovery_last_success_timestamp_seconds",
    "ekm_credential_expiry_lookup_last_success_timestamp_seconds",
}


class Scrape:
    """One scrape."""

    def __init__(self, metrics):
        self._metrics = metrics

    def value(self, name, **labels):
        """The value of the one series with these labels; None if there is none."""
        found = [
            value for (metric, *has), value in self._metrics.items() if metric == name and labels.items() <= dict(has).items()
        ]
        assert len(found) <= 1, f"{len(found)} series of {name} with {labels}"
        return found[0] if found else None

    def failure(self):
        """(step, code, reason) of the last failure; None if there was none."""
        found = [dict(has) for (metric, *has) in self._metrics if metric == "ekm_last_failure_info"]
        return (found[0]["step"], int(found[0]["code"]), found[0]["reason"]) if found else None

    @property
    def began(self):
        """The start of the last probe as Unix time; 0 if there is none."""
        return self.value("ekm_last_probe_timestamp_seconds") or 0

    @property
    def ready(self):
        return self.value("ekm_vault_side_ready")
