"""A simulated environment with one vault, and a configuration for the preflight checks."""

import contextlib
import time
from datetime import date

from exporter.config.settings import Config, Module, Retained
from exporter.core.values import CredentialKind
from exporter.doctor.run import run_checks
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.simulator.environment import (
    ALL_OPERATIONS,
    Application,
    ClientSecret,
    Environment,
    Key,
    SimulatedKeyVersion,
    Tenant,
    Vault,
)
from exporter.simulator.simulator import Simulator
from tests.support.factories import a_config, a_credential, a_target
from tests.support.values import replace

VAULT, ENTRA = "contoso-prod.vault.azure.net", "login.microsoftonline.com"
TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000001"
SECRET = "MARKED~secret.of-the-doctor"
OLD, PINNED = "b" * 32, "a" * 32
KEY = "ContosoRSAKey0"


def environment():
    key = Key(name=KEY, versions=(SimulatedKeyVersion(version=OLD, material=1), SimulatedKeyVersion(version=PINNED, material=2)))
    application = Application(client_id=CLIENT, object_id="o-1", names=("sql-prod",), secrets=(ClientSecret(value=SECRET),))
    vault = Vault(host=VAULT, tenant_id=TENANT, keys={KEY.lower(): key}, permissions={CLIENT: ALL_OPERATIONS})
    return Environment(tenants={TENANT: Tenant(tenant_id=TENANT, applications={CLIENT: application})}, vaults={VAULT: vault})


TARGET = a_target(
    "contoso-key0",
    vault=VAULT,
    key_name=KEY,
    key_version=PINNED,
    credential="sql-prod",
    retained_versions=(Retained(key_name=KEY, key_version=OLD, vault=VAULT, credential="sql-prod"),),
)
# The simulator's authority is not one of Azure, and its certificates name no revocation host.
ALWAYS = {
    "issuer_vault": CheckOutcome.WARN,
    "issuer_entra": CheckOutcome.WARN,
    "revocation": CheckOutcome.SKIPPED,
    "thumbprint": CheckOutcome.UNKNOWN,
}


class DoctorHarness:
    """Runs the preflight checks. A test may change `module`, `credential` and `target` before a run."""

    def __init__(self, simulator: Simulator, folder) -> None:
        self.simulator, self.folder = simulator, folder
        (folder / "ca.pem").write_bytes(simulator.ca_pem)
        self.secret_file = folder / "sql-prod"
        self.secret_file.write_text(SECRET + "\n")
        self.secret_file.chmod(0o600)
        self.target = TARGET
        self.module = {}
        self.clock = time.time
        self.credential = a_credential(
            "sql-prod", tenant_id=TENANT, client_id=CLIENT, file=self.secret_file, expires_on=date(2099, 1, 1)
        )

    def configuration(self) -> Config:
        given = {"ca_file": self.folder / "ca.pem", "connect_to": self.simulator.connect_to, **self.module}
        return a_config(self.target, credentials=(self.credential,), modules=(Module(name="default", **given),))

    def typed(self, text) -> None:
        """Make the credential a connector secret with this text."""
        self.secret_file.write_text(text)
        self.credential = replace(self.credential, kind=CredentialKind.CONNECTOR_SECRET, client_id=None)

    async def results(self, **options):
        """Every result by the name of its check."""
        found = await run_checks(self.configuration(), self.target, clock=self.clock, **options)
        return {result.check: result for result in found}


@contextlib.asynccontextmanager
async def doctor_harness(folder):
    async with Simulator(environment()) as simulator:
        yield DoctorHarness(simulator, folder)
