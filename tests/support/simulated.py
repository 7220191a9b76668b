"""A simulator and the prober of the exporter; each scenario is caused once."""

import asyncio
import contextlib
import time

import pytest

from exporter.config.settings import Proxy
from exporter.core.values import Outcome, Step
from exporter.knowledge.reasons import Reason
from exporter.simulator.http import PATHS
from exporter.simulator.scenarios import Outside
from exporter.simulator.simulator import Simulator
from tests.support import broken_credentials
from tests.support.running import a_prober
from tests.support.simulated_vaults import PROBED, PUBLIC, SECRET, VAULTS, by_secret, configuration, environment, target_name
from tests.support.values import replace

SILENCE = {Reason.READ_TIMEOUT, Reason.TLS_TIMEOUT, Reason.BODY_TIMEOUT, Reason.PROXY_TIMEOUT}
PATIENCE, SHORT_PATIENCE = 60.0, 1.2  # seconds


def patience_for(scenario):
    return SHORT_PATIENCE if scenario.reason in SILENCE else PATIENCE


def reaches(report, scenario):
    """Whether every step before that of the scenario succeeds."""
    return all(result.outcome is Outcome.OK for result in report.steps[: list(Step).index(scenario.step)])


class ScenarioHarness:
    """Causes scenarios and probes. `folder` has the files of credentials; `bugs` are internal errors of the prober."""

    def __init__(self, folder, certificates=None, clock=time.time):
        self._folder = folder
        self.certificates = certificates or broken_credentials.Certificates(folder)
        self.simulator = Simulator(environment(certificates=self.certificates.registered), clock=clock, arc_token_folder=folder)
        self.bugs = []
        self._reports = {}
        self._ca_file, self._secret_file = folder / "ca.pem", folder / "secret"

    async def __aenter__(self):
        await self.simulator.start()
        self._ca_file.write_bytes(self.simulator.ca_pem)
        self._secret_file.write_text(SECRET)
        return self

    async def __aexit__(self, *_):
        await self.simulator.stop()

    def by_secret(self):
        return {vault.name: by_secret(vault, self._secret_file) for vault in VAULTS}

    def configuration(self, credentials=None, patience=PATIENCE):
        return configuration(self.simulator, self._ca_file, credentials or self.by_secret(), timeout=patience)

    async def probe(self, credentials=None, *, patience=PATIENCE, only=PROBED):
        """A report for each vault and generation, from concurrent probes."""
        return await self._probed(self.configuration(credentials, patience), only)

    async def _probed(self, config, only=PROBED):
        reports = await self.reports_of(config, [target_name(*one) for one in only])
        return dict(zip(only, reports.values(), strict=True))

    async def reports_of(self, config, only=None):
        """The report of each target of a configuration, by name."""
        targets = [config.targets[name] for name in only or config.targets]
        async with a_prober(config, on_internal_error=self.bugs.append, on_shortage=self.bugs.append) as prober:
            reports = await asyncio.gather(*(prober.probe_on_demand(target, fresh=True) for target in targets))
        return {target.name: report for target, report in zip(targets, reports, strict=True)}

    async def caused(self, scenario):
        """The reports during the scenario. Only the first call causes it."""
        if scenario.name not in self._reports:
            if isinstance(scenario.scope, Outside):
                self._reports[scenario.name] = await self._outside(scenario)
            else:
                self._reports[scenario.name] = await self._simulated(scenario)
        return self._reports[scenario.name]

    async def _simulated(self, scenario):
        for vault in VAULTS:
            self.simulator.apply(scenario.name, vault=vault.host)
        try:
            reports = await self.probe(patience=patience_for(scenario))
            if scenario.reason in SILENCE and not all(reaches(report, scenario) for report in reports.values()):
                return await self.probe(patience=10 * SHORT_PATIENCE)  # a busy machine
            return reports
        finally:
            self.simulator.clear()

    async def _outside(self, scenario):
        given = self.by_secret()
        if scenario.scope is Outside.PROXY:
            async with broken_credentials.proxy(scenario) as address:
                return await self._probed(self._behind(address, patience_for(scenario)))
        if scenario.scope is Outside.IDENTITY:
            with self._identity(scenario.name) as client_id:
                patience = SHORT_PATIENCE if scenario.name == "identity_silent" else PATIENCE
                identities = {vault: broken_credentials.by_identity(one, client_id) for vault, one in given.items()}
                return await self.probe(identities, patience=patience)
        credentials = {
            vault: broken_credentials.credential_of(scenario, one, self._folder, self.certificates)
            for vault, one in given.items()
        }
        return await self.probe(credentials)

    def _behind(self, proxy, patience):
        """A configuration that uses a proxy instead of `connect_to`, which would bypass it."""
        config = self.configuration(patience=patience)
        modules = {name: replace(module, connect_to={}, proxy=Proxy(url=proxy)) for name, module in config.modules.items()}
        return replace(config, modules=modules)

    @contextlib.contextmanager
    def _identity(self, name):
        """Set the variables of a host whose identity service fails as the scenario defines. Yields the client id."""
        closed = f"http://127.0.0.1:{broken_credentials.closed_port()}/identity/token"
        with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
            patch.setenv("IDENTITY_HEADER", "any")
            if name == "identity_silent":
                silent = stack.enter_context(broken_credentials.silent_port())
                closed = f"http://127.0.0.1:{silent}/identity/token"
            patch.setenv(
                "IDENTITY_ENDPOINT", closed if name in ("identity_absent", "identity_silent") else self.simulator.identity_url
            )
            if name == "identity_key_unreadable":  # the SDK reads keys in the agent's own folder only
                patch.delenv("IDENTITY_HEADER")
                patch.setenv("IDENTITY_ENDPOINT", self.simulator.management_url + PATHS["arc"])
                patch.setenv("IMDS_ENDPOINT", f"{self.simulator.management_url}/arc")
            if name == "identity_not_json":
                self.simulator.set_fault("html", application=PUBLIC.client)
                stack.callback(self.simulator.clear)
            yield "66666666-7777-8888-9999-00000000dead" if name == "identity_unassigned" else PUBLIC.client
