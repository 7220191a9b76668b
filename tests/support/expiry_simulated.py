"""A configuration with every kind of credential that expires, a lookup credential, and the simulator."""

import pytest

from exporter.config.load import load_config
from exporter.probing.expiry import ExpiryLookup
from exporter.probing.expiry_monitor import ExpiryMonitor
from exporter.simulator.build import build_environment, redirect_config
from exporter.simulator.simulator import Simulator
from tests.support.expiry_fakes import Recorded
from tests.support.values import replace
from tests.support.written import write_private

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
TYPED_CLIENT = "66666666-7777-8888-9999-000000000001"
CERTIFIED_CLIENT = "66666666-7777-8888-9999-000000000002"
MONITOR = "66666666-7777-8888-9999-000000000003"
SECRET, TYPED_SECRET, MONITOR_SECRET = "Z~9marked-of-sql", "W~7marked-as-typed", "V~5marked-of-monitor"
PASSWORD = "marked-password"
VAULT, OPS, GRAPH = "contoso-one.vault.azure.net", "contoso-ops.vault.azure.net", "graph.microsoft.com"
SECRET_URL = f"https://{OPS}/secrets/sql-prod"

CONFIGURATION = f"""\
global: {{interval: 60s, timeout: 5s, connector_generation: classic}}
credentials:
  sql: {{type: client_secret, tenant_id: {TENANT}, client_id: {CLIENT}, client_secret_file: sql, graph_credential: monitor, key_vault_secret: "{SECRET_URL}"}}
  typed: {{type: connector_secret, tenant_id: {TENANT}, secret_file: typed, graph_credential: monitor}}
  cert: {{type: client_certificate, tenant_id: {TENANT}, client_id: {CERTIFIED_CLIENT}, certificate_file: sp.pfx, password_file: password, graph_credential: monitor}}
  monitor: {{type: client_secret, tenant_id: {TENANT}, client_id: {MONITOR}, client_secret_file: monitor}}
targets:
  - {{name: one, vault: contoso-one, key: TdeKey/0123456789abcdef0123456789abcd01, credential: sql}}
  - {{name: two, vault: contoso-one, key: TypedKey/0123456789abcdef0123456789abcd01, credential: typed}}
  - {{name: three, vault: contoso-one, key: CertKey/0123456789abcdef0123456789abcd01, credential: cert}}
"""


class ExpiryHarness:
    """The simulator, a configuration for it, and expiry monitors. `changes` are (find, replace) pairs for the configuration."""

    def __init__(self, folder, principal, *changes, clock=None):
        self.folder, self.principal = folder, principal
        self.write("sql", SECRET)
        self.write("typed", TYPED_CLIENT.replace("-", "") + TYPED_SECRET)
        self.write("monitor", MONITOR_SECRET)
        self.write("password", PASSWORD)
        self.write("sp.pfx", principal.pfx(PASSWORD.encode()))
        text = CONFIGURATION
        for find, put in changes:
            assert find in text
            text = text.replace(find, put)
        self.write("ekm.yml", text)
        loaded = load_config(folder / "ekm.yml")
        assert loaded.config is not None, loaded.problems
        self.written = loaded.config
        self.simulator = Simulator(build_environment(self.written), **({} if clock is None else {"clock": clock}))
        self.monitors, self.counted, self.recorded = [], [], Recorded()
        self.tenants = {}

    def write(self, name, content):
        write_private(self.folder / name, content)

    async def start(self):
        await self.simulator.start()
        self.write("ca.pem", self.simulator.ca_pem)

    @property
    def config(self):
        """The configuration, redirected to the simulator."""
        return redirect_config(self.simulator, self.written, self.folder / "ca.pem")

    def monitor(self, config=None):
        config = config or self.config
        lookup = ExpiryLookup(config, requested=lambda *what: self.counted.append(what), tenant_of=self.tenants.get)
        monitor = ExpiryMonitor(config, lookup, self.recorded.callbacks)
        self.monitors.append(monitor)
        return monitor

    async def stop(self):
        for monitor in self.monitors:
            await monitor.aclose()
        await self.simulator.stop()

    def secrets_of(self, client, *secrets):
        self.simulator.state.change_application(client, lambda application: replace(application, secrets=secrets))

    def requests_to(self, host):
        """The number of requests to a host by operation and status."""
        return {(operation, status): count for (at, operation, status), count in self.simulator.requests.items() if at == host}

    def requested(self, endpoint):
        return sum(count for name, count in self.counted if name == endpoint)


def by_source(ends):
    return {str(end.source): end for end in ends}


@pytest.fixture
async def set_up(tmp_path, principal):
    """Start a harness; arguments are edits of its configuration."""
    started = []

    async def begin(*changes, **more):
        harness = ExpiryHarness(tmp_path, principal, *changes, **more)
        await harness.start()
        started.append(harness)
        return harness

    yield begin
    for harness in started:
        await harness.stop()


@pytest.fixture
async def expiry_harness(set_up):
    return await set_up()
