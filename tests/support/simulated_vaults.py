"""One vault of each cloud and kind, each in its own tenant, and a configuration that probes them all."""

from dataclasses import dataclass

from exporter.config.settings import Module
from exporter.core.values import Generation
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
from tests.support.factories import a_config, a_credential, a_target
from tests.support.simulator_client import KEY, VERSION
from tests.support.values import replace

SECRET = "marked~secret.of-every_vault"


@dataclass(frozen=True)
class CloudVault:
    name: str
    host: str
    authority: str
    number: int
    kty: str = "RSA"

    @property
    def tenant(self):
        return f"11111111-2222-3333-4444-00000000000{self.number}"

    @property
    def client(self):
        return f"66666666-7777-8888-9999-00000000000{self.number}"


PUBLIC = CloudVault("public", "contoso-one.vault.azure.net", "login.microsoftonline.com", 1)
MANAGED_HSM = CloudVault("hsm", "contoso-hsm.managedhsm.azure.net", "login.microsoftonline.com", 2, "RSA-HSM")
US_GOVERNMENT = CloudVault("us", "contoso-us.vault.usgovcloudapi.net", "login.microsoftonline.us", 3)
CHINA = CloudVault("china", "contoso-cn.vault.azure.cn", "login.chinacloudapi.cn", 4)
VAULTS = (PUBLIC, MANAGED_HSM, US_GOVERNMENT, CHINA)

# Both generations in the public cloud and one elsewhere: the generation does not depend on the cloud.
PROBED = (
    (PUBLIC, Generation.CLASSIC),
    (PUBLIC, Generation.CURRENT),
    (MANAGED_HSM, Generation.CLASSIC),
    (US_GOVERNMENT, Generation.CURRENT),
    (CHINA, Generation.CLASSIC),
)


def environment(*, certificates=()):
    def simulated(vault):
        versions = (
            SimulatedKeyVersion(version=VERSION, kty=vault.kty),
            SimulatedKeyVersion(version="f" * 32, kty=vault.kty, material=1),
        )
        return Vault(
            host=vault.host,
            tenant_id=vault.tenant,
            authority=vault.authority,
            keys={KEY.lower(): Key(name=KEY, versions=versions)},
            permissions={vault.client: ALL_OPERATIONS},
        )

    def tenant(vault):
        secrets = (ClientSecret(value=SECRET),)
        one = Application(client_id=vault.client, object_id=f"o-{vault.number}", secrets=secrets, certificates=certificates)
        return Tenant(tenant_id=vault.tenant, applications={vault.client: one})

    return Environment(
        tenants={vault.tenant: tenant(vault) for vault in VAULTS},
        vaults={vault.host: simulated(vault) for vault in VAULTS},
        authorities=frozenset(vault.authority for vault in VAULTS),
        host_identity=PUBLIC.client,
    )


def by_secret(vault, file):
    return a_credential(vault.name, tenant_id=vault.tenant, client_id=vault.client, file=file)


def target_name(vault, generation):
    return f"{vault.name}-{generation}"


def configuration(simulator, ca_file, credentials, *, timeout=10.0):
    """One target for each of PROBED, with the credential of its vault."""
    targets = [
        a_target(
            target_name(vault, generation),
            vault=vault.host,
            key_name=KEY,
            key_version=VERSION,
            credential=vault.name,
            timeout=timeout,
            generation=generation,
        )
        for vault, generation in PROBED
    ]
    module = Module(name="default", ca_file=ca_file, connect_to=simulator.connect_to)
    return replace(a_config(*targets, modules=(module,)), credentials=credentials)
